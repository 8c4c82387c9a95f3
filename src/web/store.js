// @ts-check
/** What stays between visits, and how often it is written. */

/** The page's part of the browser's storage. */
export const store = {
  get(key, otherwise) {
    try {
      return JSON.parse(localStorage.getItem(`ringpost.${key}`) ?? '') ?? otherwise;
    } catch {
      return otherwise;
    }
  },
  set(key, value) {
    try {
      localStorage.setItem(`ringpost.${key}`, JSON.stringify(value));
    } catch {
      // A full or forbidden storage costs comfort, not messages.
    }
  },
};

/** Runs at most once per interval, and once after the last call. */
export function throttled(interval_ms, run) {
  let timer = 0;
  return () => {
    timer ||= setTimeout(() => {
      timer = 0;
      run();
    }, interval_ms);
  };
}
