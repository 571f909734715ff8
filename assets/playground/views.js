/** The three views, by the address's fragment. */
import { byId } from './dom.js';

const TITLES = { try: 'Concertina', ladder: 'The ladder · Concertina', load: 'Live load · Concertina' };

/** @param {(view: 'try' | 'ladder' | 'load') => void} onShow a view is shown, the first one too */
export function watchViews(onShow) {
  const show = (moved) => {
    const wanted = location.hash.slice(1);
    const name = wanted in TITLES ? wanted : 'try';
    for (const view of Object.keys(TITLES)) byId(`view-${view}`).hidden = view !== name;
    for (const link of document.querySelectorAll('.views a')) {
      if (link.getAttribute('href') === `#${name}`) link.setAttribute('aria-current', 'page');
      else link.removeAttribute('aria-current');
    }
    document.title = TITLES[name];
    onShow(name);
    if (moved) {
      scrollTo(0, 0);
      byId(`${name}-title`).focus({ preventScroll: true });
    }
  };
  addEventListener('hashchange', () => show(true));
  show(false);
}
