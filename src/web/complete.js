// @ts-check
/** What may follow in a line that begins with a slash: commands, and their arguments. Pure. */

/** Options that are shown at a time. */
const SHOWN_MAX = 8;

/** @typedef {{text: string|null, label: string, usage: string, help: string}} Option */

/** The beginning of a command's name that a line asks for, or none. */
export function commandOf(line) {
  return /^\/(?!\/)(\S*)/.exec(line)?.[1];
}

/**
 * What a line may become, with the commands that the server named for its beginning. An option
 * without a text only explains.
 * @returns {Option[]}
 */
export function completion(line, cmds, { users = [], rooms = [] } = {}) {
  const typed = line.slice(1);
  const end = typed.search(/\s/);
  if (end < 0) {
    return cmds.slice(0, SHOWN_MAX).map(({ name, usage = '', help = '' }) => {
      return { text: `/${name} `, label: `/${name} `, usage, help };
    });
  }
  const cmd = cmds.find(({ name }) => name === typed.slice(0, end));
  const { whole, word, begin } = split(typed.slice(end));
  const argument = cmd?.args?.[whole];
  if (!argument) return [];
  const known = { bool: ['true', 'false'], user: users, room: rooms };
  const choices = argument.choices ?? known[argument.type] ?? [];
  const head = line.slice(0, 1 + end + begin);
  const begins = (choice) => choice.toLowerCase().startsWith(word.toLowerCase());
  const options = choices.map(String).filter(begins).slice(0, SHOWN_MAX);
  if (options.length === 1 && options[0] === word) return [];
  if (options.length) {
    const help = argument.help ?? '';
    return options.map((text) => {
      return { text: `${head}${quoted(text)} `, label: text, usage: argument.name, help };
    });
  }
  return [{ text: null, label: argument.name, usage: bounds(argument), help: argument.help ?? '' }];
}

/** How many words are whole, what is typed of the next one, and where that begins. */
function split(rest) {
  let [whole, word, begin, quote] = [0, '', -1, ''];
  for (let at = 0; at < rest.length; at += 1) {
    const letter = rest[at];
    if (quote && letter === quote) {
      quote = '';
    } else if (!quote && !word && (letter === '"' || letter === "'")) {
      quote = letter;
      begin = at;
    } else if (!quote && /\s/.test(letter)) {
      whole += begin < 0 ? 0 : 1;
      word = '';
      begin = -1;
    } else {
      begin = begin < 0 ? at : begin;
      word += letter;
    }
  }
  return { whole, word, begin: begin < 0 ? rest.length : begin };
}

/** A word as the server reads it again. */
function quoted(word) {
  return /[\s"']/.test(word) ? `"${word.replace(/["\\]/g, '\\$&')}"` : word;
}

function bounds({ type = 'string', min, max, default: fallback, required }) {
  const parts = [type];
  if (min !== undefined) parts.push(`from ${min}`);
  if (max !== undefined) parts.push(type === 'string' ? `up to ${max} letters` : `to ${max}`);
  if (fallback !== undefined) parts.push(`(${fallback})`);
  else if (!required) parts.push('(may be left out)');
  return parts.join(' ');
}
