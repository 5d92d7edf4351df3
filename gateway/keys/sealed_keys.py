"""From a provider key to the row that keeps it, and back: this gateway's vault, and what its seals are bound to."""

from collections.abc import Sequence
from uuid import UUID

from gateway.keys.master_key import MasterKeyRefused, make_master_key, master_key_file, read_master_keys
from gateway.settings import Settings
from providers.upstream.keys import ProviderKey, Secret
from storage.errors import WrongKey
from storage.keys.provider_keys import Sealed, SealedKey
from storage.keys.vault import Place, Vault


def open_vault(settings: Settings, stored: Sequence[SealedKey]) -> Vault | None:
    """The vault with the master keys of all stored keys; None when nothing is stored and no master key is there.

    Raises `MasterKeyRefused`, which says what to do.
    """
    keys = read_master_keys(settings)
    if keys is None:
        if stored:
            raise MasterKeyRefused(
                f"{_count(stored)} stored, and the master key that opens them is missing: neither GATEWAY_MASTER_KEY "
                f"nor {master_key_file(settings)} is there. Bring it back; no new one is made, because it would open "
                "nothing. If it is lost, remove the keys (`gateway keys list`, `gateway keys remove ID`) and add them "
                "anew."
            )
        return None
    vault = Vault(keys)
    strangers = [key for key in stored if key.master not in vault.ids]
    if strangers:
        named = ", ".join(sorted({key.master for key in strangers}))
        raise MasterKeyRefused(
            f"{_count(strangers)} sealed under a master key that is not at hand (its id: {named}; at hand: "
            f"{', '.join(sorted(vault.ids))}). Put it behind the first one, after a comma, in "
            f"{'GATEWAY_MASTER_KEY' if settings.master_key else master_key_file(settings)}. If it is lost, remove "
            f"them ({', '.join(f'`gateway keys remove {key.id}`' for key in strangers)}) and add the keys anew."
        )
    return vault


def open_or_make_vault(settings: Settings, stored: Sequence[SealedKey]) -> Vault:
    """The vault that the next key is sealed in; the first one makes the master key where there is none."""
    return open_vault(settings, stored) or Vault(make_master_key(settings))


def seal_key(vault: Vault, key_id: UUID, key: Secret, origin: str) -> Sealed:
    """What is stored of a key that may be sent to `origin`."""
    return Sealed(
        origin=origin,
        envelope=vault.seal(key.reveal(), _place(key_id, origin)),
        master=vault.primary,
        fingerprint=vault.fingerprint(key.reveal()),
    )


def open_key(vault: Vault, stored: SealedKey) -> ProviderKey:
    """The key in clear, with the origin that it is bound to. Raises `WrongKey`."""
    try:
        return ProviderKey(Secret(vault.open(stored.envelope, _place(stored.id, stored.origin))), stored.origin)
    except ValueError:
        raise WrongKey("What is sealed here is not a key.") from None


def open_keys(
    vault: Vault | None, stored: Sequence[SealedKey]
) -> tuple[list[tuple[SealedKey, ProviderKey]], list[tuple[SealedKey, str]]]:
    """The keys that open, and those that do not with the reason; one that does not stands in nobody's way."""
    opened, unusable = [], []
    for one in stored:
        if vault is None:
            unusable.append((one, "The master key is missing."))
            continue
        try:
            opened.append((one, open_key(vault, one)))
        except WrongKey as error:
            unusable.append((one, error.message))
    return opened, unusable


def rewrap_key(vault: Vault, stored: SealedKey) -> Sealed:
    """The same key under the primary master key. Raises `WrongKey`.

    It is opened too: its fingerprint is made anew, and one that does not open is better known before the old master
    key is thrown away.
    """
    key = open_key(vault, stored).secret
    return Sealed(
        origin=stored.origin,
        envelope=vault.rewrap(stored.envelope, _place(stored.id, stored.origin)),
        master=vault.primary,
        fingerprint=vault.fingerprint(key.reveal()),
    )


def is_stored(vault: Vault, key: Secret, provider: str, origin: str, stored: Sequence[SealedKey]) -> bool:
    """Whether the provider has this key for this origin already, under whichever master key."""
    return any(
        (one.provider, one.origin) == (provider, origin)
        and one.fingerprint == vault.fingerprint(key.reveal(), one.master)
        for one in stored
    )


def _place(key_id: UUID, origin: str) -> Place:
    return Place(purpose="provider-key", row=key_id, field="envelope", origin=origin)


def _count(keys: Sequence[SealedKey]) -> str:
    return "1 provider key is" if len(keys) == 1 else f"{len(keys)} provider keys are"
