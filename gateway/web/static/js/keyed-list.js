/** A list drawn again only where it changed: focus, selection, and a click that has only begun survive. */

export class KeyedList {
  #list;
  #drawn = new Map();

  constructor(list) {
    this.#list = list;
  }

  /** Show these items, `{key, about, draw}`: `draw()` makes the element of one whose `about` is another than before. */
  show(items) {
    const drawn = new Map();
    for (const { key, about, draw } of items) {
      const made = JSON.stringify(about);
      const before = this.#drawn.get(key);
      drawn.set(key, before?.made === made ? before : { made, element: draw() });
    }
    this.#drawn = drawn;
    this.#place([...drawn.values()].map(({ element }) => element));
  }

  elementOf(key) {
    return this.#drawn.get(key)?.element ?? null;
  }

  /** Moving an element takes its focus and selection away, so only those out of place are moved. */
  #place(elements) {
    const wanted = new Set(elements);
    for (const element of [...this.#list.children]) if (!wanted.has(element)) element.remove();
    elements.forEach((element, position) => {
      if (this.#list.children[position] !== element) this.#list.insertBefore(element, this.#list.children[position] ?? null);
    });
  }
}
