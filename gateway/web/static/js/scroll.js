/** The reading position: new text is followed only by a reader who is at the end. */

const NEAR = 48;
const ROUNDING = 2;

/** Watch a scrolling element and its content; `onMove(atEnd)` hears when the reader leaves the end or comes back. */
export function followEnd(scroller, content, onMove) {
  let atEnd = true;
  let top = 0;
  const below = () => scroller.scrollHeight - scroller.scrollTop - scroller.clientHeight;
  const become = (now) => {
    if (now !== atEnd) onMove((atEnd = now));
  };
  const toEnd = () => {
    scroller.scrollTop = scroller.scrollHeight;
    top = scroller.scrollTop;
  };
  // Text may have grown since the browser planned this event, so a distance alone says nothing: who leaves, moves up.
  const look = () => {
    const before = top;
    top = scroller.scrollTop;
    if (atEnd) become(top >= before || below() <= ROUNDING);
    else become(below() <= (top > before ? NEAR : ROUNDING));
  };
  scroller.addEventListener("scroll", look, { passive: true });
  const observer = new ResizeObserver(() => (atEnd ? toEnd() : look()));
  observer.observe(scroller);
  observer.observe(content);

  return {
    /** Go to the end, and follow it from here on. */
    toEnd() {
      become(true);
      toEnd();
    },
    /** Change the content, holding the element that `anchor()` finds where it is on the screen. */
    holding(anchor, change) {
      const before = anchor()?.getBoundingClientRect().top;
      change();
      const after = anchor()?.getBoundingClientRect().top;
      if (before !== undefined && after !== undefined) scroller.scrollTop += after - before;
      top = scroller.scrollTop;
      become(below() < NEAR);
    },
  };
}
