/** Searches in what is loaded, as the service searches: in whatever case, and no sign means more than itself. */

/** Where words stand in a text, from and to; undefined when they don't. */
export function foundIn(text: string, words: string): [number, number] | undefined {
  if (!words) return undefined;
  const found = new RegExp(words.replace(/[\\^$.*+?()[\]{}|/]/g, "\\$&"), "iu").exec(text);
  return found ? [found.index, found.index + found[0].length] : undefined;
}
