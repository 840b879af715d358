// What a browser remembers from one load of the page to the next, if it may.

/** @param {string} name */
export function kept(name) {
  try {
    return localStorage.getItem(`femtoward-${name}`);
  } catch {
    return null; // storage is forbidden
  }
}

/**
 * @param {string} name
 * @param {string|null} value null: forget it
 */
export function keep(name, value) {
  try {
    if (value === null) localStorage.removeItem(`femtoward-${name}`);
    else localStorage.setItem(`femtoward-${name}`, value);
  } catch {
    // it holds for this page alone
  }
}
