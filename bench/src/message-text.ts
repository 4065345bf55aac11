/** Bytes of one message: JSON with a unique id, the user's sequence number, the time of sending, and padding. */
export const MESSAGE_BYTES = 300;
export type Padding = 'random' | 'natural';

const PAD_CHARS = 65_536;
/** A pad begins at a place that this step moves on, so that no two messages near one another share it. */
const PAD_STEP = 397;

/** Random letters: a server that compresses gains nothing from them. The same at each run. */
function randomPad(): string {
  const letters = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
  let pad = '';
  for (let i = 0, state = 12_345; i < PAD_CHARS; i++) {
    state = nextState(state);
    pad += letters[(state >>> 16) & 63];
  }
  return pad;
}

const nextState = (state: number): number => (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;

/**
 * What people write to one another, roughly: common words, the commonest most often (Zipf). It compresses as such
 * text does; a dictionary's worth of repetition would flatter.
 */
const WORDS = `the to and a of you in it is that for on have be with this are at not we can just so my but me do as
will if was from get out about what up all your there one when like now they go good time know an see or no how then
would today tomorrow meeting think back need some really here more over did could make come thanks any going been
right other had want too got into where who much yes well work also day only still before after home first sure
please maybe call new two week later let way should question morning house people last great tonight school than
never next things something down office around dinner train always again minutes because photo other money weekend
little problem birthday coffee children mother doctor answer street another enough possible different family summer
ticket evening message weather kitchen airport number garden holiday project already window music invoice remember
address tomorrow's friend system decide afternoon package restaurant customer version deliver hospital manager`.split(
  /\s+/,
);

function naturalPad(): string {
  let pad = '';
  for (let i = 0, state = 54_321; pad.length < PAD_CHARS; i++) {
    state = nextState(state);
    const share = (state >>> 8) / 2 ** 24;
    // Rank r with a probability of about 1 / r.
    const word = WORDS[Math.min(WORDS.length - 1, Math.floor(WORDS.length ** share) - 1)] as string;
    pad += i % 11 === 10 ? `${word}. ` : `${word} `;
  }
  return pad.slice(0, PAD_CHARS);
}

const pads: Partial<Record<Padding, string>> = {};

export function messageText(fields: { run: string; to: string; seq: number; nth: number; padding: Padding }): string {
  const { run, to, seq, nth, padding } = fields;
  pads[padding] ??= padding === 'random' ? randomPad() : naturalPad();
  const head = `{"id":"${run}-${to}-${seq}","to":"${to}","seq":${seq},"t":${performance.now().toFixed(3)},"pad":"`;
  const room = MESSAGE_BYTES - head.length - 2;
  const from = (nth * PAD_STEP) % (PAD_CHARS - MESSAGE_BYTES);
  return `${head}${pads[padding].slice(from, from + room)}"}`;
}
