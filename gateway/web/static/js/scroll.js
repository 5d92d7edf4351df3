/** The reading position: new text is followed only by a reader who is at the end. */

const NEAR = 48;

/** Watch a scrolling element and its content; `onMove(atEnd)` hears when the reader leaves the end or comes back. */
export function followEnd(scroller, content, onMove) {
  let atEnd = true;
  const toEnd = () => (scroller.scrollTop = scroller.scrollHeight);
  const note = () => {
    const near = scroller.scrollHeight - scroller.scrollTop - scroller.clientHeight < NEAR;
    if (near !== atEnd) onMove((atEnd = near));
  };
  scroller.addEventListener("scroll", note, { passive: true });
  const observer = new ResizeObserver(() => (atEnd ? toEnd() : note()));
  observer.observe(scroller);
  observer.observe(content);

  return {
    /** Go to the end, and follow it from here on. */
    toEnd() {
      atEnd = true;
      onMove(true);
      toEnd();
    },
    /** Change the content, holding the element that `anchor()` finds where it is on the screen. */
    holding(anchor, change) {
      const before = anchor()?.getBoundingClientRect().top;
      atEnd = false;
      change();
      const after = anchor()?.getBoundingClientRect().top;
      if (before !== undefined && after !== undefined) scroller.scrollTop += after - before;
      note();
    },
  };
}
