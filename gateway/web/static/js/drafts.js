/** Unsent texts, kept for the life of the browser's tab: a reload or an ended login loses none. */

let owner = "";

const keyOf = (chatId) => `draft:${owner}:${chatId}`;

/** Whose drafts these are from now on: the next person at the same tab does not see them. */
export function useDraftsOf(userId) {
  owner = userId;
}

export const draftOf = (chatId) => sessionStorage.getItem(keyOf(chatId)) ?? "";

export function keepDraft(chatId, text) {
  if (text) sessionStorage.setItem(keyOf(chatId), text);
  else sessionStorage.removeItem(keyOf(chatId));
}

/** Forget them all: the person has signed out. */
export function forgetDrafts() {
  for (const key of Object.keys(sessionStorage)) if (key.startsWith("draft:")) sessionStorage.removeItem(key);
}
