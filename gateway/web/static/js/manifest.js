/** The account of a Context: how full it is, what is in it, and what was left out and why. */

import { h } from "./dom.js";

const KINDS = {
  system: "System",
  persona: "Persona",
  personality: "Personality",
  scenario: "Scenario",
  lore: "Lore",
  example: "Examples",
  history: "History",
  session: "Session data",
  message: "Newest message",
  post_history: "Closing words",
};
const number = new Intl.NumberFormat();

const kindName = (kind) => KINDS[kind] ?? kind;

/** The manifest as elements; `isSent` says whether its turn has been asked for. */
export function manifestElements(manifest, isSent) {
  const kept = manifest.segments.filter((segment) => segment.kept);
  const dropped = manifest.segments.filter((segment) => !segment.kept);
  return [
    budget(manifest, kept),
    section(`${isSent ? "Sent" : "To be sent"}, ${number.format(kept.length)} ${kept.length === 1 ? "part" : "parts"}`, kept),
    dropped.length > 0 && section(`Left out, ${number.format(dropped.length)}`, dropped),
    manifest.messages ? asSent(manifest.messages, isSent) : h("p", { class: "muted" }, "This persona does not show its texts."),
  ].filter(Boolean);
}

function budget({ budget, total_tokens: total }, kept) {
  const tokens = new Map();
  for (const segment of kept) tokens.set(segment.kind, (tokens.get(segment.kind) ?? 0) + segment.tokens);
  const bar = h("div", { class: "budget-bar", "aria-hidden": "true" });
  const legend = h("ul", { class: "legend" });
  for (const [kind, count] of tokens) {
    const part = h("span", { class: `kind-${kind}` });
    part.style.setProperty("width", `${(100 * count) / Math.max(budget, total, 1)}%`);
    bar.append(part);
    legend.append(h("li", {}, h("span", { class: `swatch kind-${kind}` }), kindName(kind), h("b", {}, number.format(count))));
  }
  return h(
    "div",
    { class: "budget" },
    h("p", {}, h("strong", {}, number.format(total)), ` of ${number.format(budget)} tokens`),
    bar,
    legend,
  );
}

function section(title, segments) {
  return h("section", { class: "segments" }, h("h3", {}, title), h("ol", {}, ...segments.map(segmentElement)));
}

function segmentElement(segment) {
  return h(
    "li",
    { class: segment.kept ? "segment" : "segment dropped" },
    h("span", { class: `swatch kind-${segment.kind}` }),
    h(
      "span",
      { class: "segment-kind" },
      kindName(segment.kind),
      h("span", { class: "segment-role" }, isNamed(segment) ? `${segment.id}, ${segment.role}` : segment.role),
    ),
    h("span", { class: "segment-tokens" }, number.format(segment.tokens)),
    segment.reason && h("span", { class: "segment-reason" }, segment.reason),
  );
}

/** Whether the id is a name that the author of the persona gave, as entries of lore have. */
const isNamed = ({ kind, id }) => kind === "lore" && !/^[0-9a-f]{8}-/.test(id);

function asSent(messages, isSent) {
  return h(
    "details",
    { class: "as-sent" },
    h("summary", {}, isSent ? "As sent to the model" : "As it will be sent to the model"),
    ...messages.map(({ role, content }) => h("div", { class: "sent" }, h("span", { class: "segment-role" }, role), h("p", {}, content))),
  );
}
