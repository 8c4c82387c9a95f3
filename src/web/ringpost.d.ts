/** Types of the ringpost client. Meanings and bounds of all fields: docs/PROTOCOL.md. */

export const PROTOCOL: 'ringpost.v1.json';

export interface ConnectOptions {
  /** Default: `ws` beside the page. */
  url?: string;
  /** Name in development mode. */
  user?: string;
  /** Token, or a function that gets one before each connection. */
  token?: string | (() => string | Promise<string>);
  /** Stable id of this installation. */
  device?: string;
  /** Name and version of the program. */
  client?: string;
  /** Attach without being shown as present. */
  quiet?: boolean;
  /** Ends the connection for good. */
  signal?: AbortSignal;
  /** Replaces `globalThis.WebSocket`. */
  WebSocket?: typeof WebSocket;
  /** Replaces `Math.random` for the jitter. */
  random?: () => number;
}

export type State = 'connecting' | 'open' | 'waiting' | 'closed';
export type Source = 'ws' | 'whatsapp' | 'command' | 'handler' | 'api' | 'system';

export interface Session {
  sid: string;
  user: string;
  e: string;
  ts: number;
  ack: 'memory' | 'os' | 'fsync';
  ping_ms: number;
  pong_ms: number;
  resume_ms: number;
  limits: {
    frame: number;
    text: number;
    send_per_s: number;
    burst: number;
    rooms: number;
    history: number;
  };
}

export interface Joined {
  e: string;
  /** Offset of the room's newest event. */
  o: number;
  from?: number;
  n?: number;
  recovered: boolean;
  back_to?: number;
  role?: string;
  topic?: string;
  present?: number;
}

export interface Acknowledged {
  o: number;
  ts: number;
  dup: boolean;
}

export interface Message {
  from: string;
  cid: string;
  text?: string;
  src: Source;
  /** Name of a WhatsApp contact. */
  name?: string;
  /** Offset of the message this one answers. */
  reply?: number;
  /** The platform's own message id. */
  ext?: string;
  /** In a conversation with a contact: goes to the contact, or never does. */
  dir?: 'out' | 'internal';
  /** What was sent instead of a plain text. */
  content?: { type: string; [field: string]: unknown };
  /** How far a message to a contact is. */
  status?: string;
  /** Why it failed, by the platform's number. */
  error?: number;
  v?: number;
  edited?: number;
  deleted?: boolean;
}

/** A durable event: it has an offset and a time. */
interface Durable<T extends string, D> {
  t: T;
  room: string;
  o: number;
  ts: number;
  d: D;
}

interface Passing<T extends string, D> {
  t: T;
  room: string;
  d: D;
}

export type MessageEvent = Durable<'msg', Message>;

export interface History {
  e: string;
  msgs: MessageEvent[];
  first: number;
  top: number;
  more: boolean;
}

export interface Present {
  user: string;
  role?: string;
  state?: 'online' | 'away' | 'dnd' | 'offline';
  text?: string;
  recv?: number;
  read?: number;
}

export interface EventMap {
  msg: MessageEvent;
  edit: Durable<'edit', { of: number; v: number; from: string; text: string }>;
  delete: Durable<'delete', { of: number; from: string }>;
  member: Durable<
    'member',
    { user: string; by: string; action: 'join' | 'leave' | 'role'; role: string }
  >;
  room: Durable<'room', { by: string; topic?: string; access?: string }>;
  delivery: Passing<
    'delivery',
    { of?: number; status: string; user: string; ext?: string; error?: number }
  >;
  mark: Passing<'mark', { marks: { user: string; recv: number; read: number }[] }>;
  typing: Passing<'typing', { user: string }>;
  presence: Passing<
    'presence',
    { n: number; join?: string[]; leave?: string[]; status?: Present[] }
  >;
  cmd: Passing<'cmd', { call: string; kind: 'ephemeral' | 'error'; text: string }>;
  /** Durable events that were not delivered: page `history`. */
  gap: Passing<'gap', { from: number; to: number }>;
  notice: { t: 'notice'; room?: string; d: { level: string; msg: string } };
  bye: { t: 'bye'; d: { code: number; reason: string; reconnect: boolean; after_ms?: number } };
  /** An error that answers no request. */
  err: { t: 'err'; d: { code: number; name: string; msg?: string; retry: boolean } };

  // Made by the client itself.
  /** The connection changed; `delay_ms` tells how long a wait will be. */
  state: {
    t: 'state';
    d: {
      state: State;
      delay_ms?: number;
      attempt?: number;
      code?: number;
      reason?: string;
      msg?: string;
    };
  };
  /** A room is attached, for the first time or again. */
  joined: Passing<'joined', Joined>;
  /** A room continues without loss; `n` missed events follow. */
  recovered: Passing<'recovered', { n: number; o: number }>;
  /** The server lost what it had shown beyond `back_to`: drop it. `o` was the position before. */
  rolled_back: Passing<'rolled_back', { back_to: number; o: number }>;
  /** The server no longer lets this session into a room. */
  lost: Passing<'lost', { error: RingpostError }>;
}

export class RingpostError extends Error {
  /** Number of the error table; 0 when the connection ended for good. */
  code: number;
  /** Stable name of the same table. */
  reason: string;
  retry: boolean;
  after_ms?: number;
}

interface Abortable {
  signal?: AbortSignal;
}

export interface Client {
  readonly state: State;
  readonly rooms: string[];
  /** Reply to the last `hello`. */
  readonly session: Session | null;
  /** Calls back for every event of a type, `*` for all; returns the function that ends it. */
  on<T extends keyof EventMap>(
    type: T,
    listener: (event: EventMap[T]) => void,
    options?: Abortable,
  ): () => void;
  on(
    type: '*',
    listener: (event: EventMap[keyof EventMap]) => void,
    options?: Abortable,
  ): () => void;
  join(room: string, options?: { last?: number; member?: boolean }): Promise<Joined>;
  leave(room: string, options?: { member?: boolean }): Promise<void>;
  /** Resolves when the server has the message safe; a text that begins with `/` is a command. */
  send(
    room: string,
    text: string,
    options?: Abortable & {
      reply?: number;
      cid?: string;
      /** To a WhatsApp contact, with an empty text: docs/WHATSAPP.md. */
      content?: { type: string; [field: string]: unknown };
      /** Stays in the room. */
      note?: boolean;
    },
  ): Promise<Acknowledged>;
  edit(
    room: string,
    o: number,
    text: string,
    options?: Abortable,
  ): Promise<{ o: number; ts: number; v: number }>;
  delete(room: string, o: number, options?: Abortable): Promise<{ o: number; ts: number }>;
  history(
    room: string,
    options?: Abortable & { before?: number; after?: number; around?: number; limit?: number },
  ): Promise<History>;
  typing(room: string): void;
  mark(room: string, marks: { recv?: number; read?: number }): Promise<void>;
  who(
    room: string,
    options?: Abortable & { after?: string; limit?: number },
  ): Promise<{ users: Present[]; n: number; more: boolean }>;
  status(
    d: { state?: 'online' | 'away' | 'dnd'; text?: string } | { users: string[] },
    options?: Abortable,
  ): Promise<{ users?: Present[] }>;
  cmd(
    room: string,
    name: string,
    text?: string,
    options?: Abortable,
  ): Promise<{ state: string; call: string }>;
  cmds(room: string, prefix?: string, options?: Abortable): Promise<{ cmds: unknown[] }>;
  /** Position in a room, or null before the first answer. */
  position(room: string): { e: string; o: number } | null;
  /** Ends a wait for the next attempt at once. */
  retry(): void;
  close(): void;
}

export function connect(options: ConnectOptions): Client;
