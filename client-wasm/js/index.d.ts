// The exports of `moorline-client`. Written by hand, checked by `tsc --strict` against `client-wasm/types`.

/** Event names and the functions that take their arguments, as users of Socket.IO write them. */
export interface EventsMap {
  [event: string]: any;
}

/** The default: any event with any arguments. */
export interface DefaultEventsMap {
  [event: string]: (...args: any[]) => void;
}

export type EventNames<Map extends EventsMap> = keyof Map & string;
export type EventParams<Map extends EventsMap, Event extends EventNames<Map>> = Parameters<Map[Event]>;

/** The last element of a list, optional or not. */
type Last<List extends any[]> = Required<List> extends [...any[], infer Item] ? Item : any;
type AllButLast<List extends any[]> = List extends [...infer Items, any]
  ? Items
  : number extends List["length"]
    ? any[]
    : List extends [...infer Items, any?]
      ? Items
      : any[];
type FirstArgument<Callback> = Callback extends (arg: infer Argument, ...more: any[]) => any ? Argument : any;

/** The arguments of an event without its acknowledgement, and the first argument of that. */
type AskParams<Map extends EventsMap, Event extends EventNames<Map>> = AllButLast<EventParams<Map, Event>>;
type Answer<Map extends EventsMap, Event extends EventNames<Map>> = FirstArgument<Last<EventParams<Map, Event>>>;

/** With a timeout every acknowledgement takes an error first. */
export type DecorateAcknowledgements<Map> = {
  [Event in keyof Map]: Map[Event] extends (...args: infer Params) => infer Result
    ? (...args: WithErrorFirst<Params>) => Result
    : Map[Event];
};
type WithErrorFirst<Params extends any[]> = {
  [At in keyof Params]: Params[At] extends ((...args: infer Args) => infer Result) | undefined
    ? ErrorFirst<Args, Result>
    : Params[At];
};
/**
 * A method, and so compared loosely: Socket.IO's own types say `error: Error`, and callbacks written for them are to
 * fit.
 */
type ErrorFirst<Args extends any[], Result> = { call(error: Error | null, ...args: Args): Result }["call"];

export type TransportName = "websocket" | "polling";

/** A payload for the server, or a function that gives one at every connect. It may take a callback or be async. */
export type Auth =
  | { [key: string]: any }
  | ((callback: (payload: object) => void) => void | object | Promise<void | object>);

export interface SocketOptions {
  /** Sent with every connect. */
  auth?: Auth;
  /** How often an event is sent again when it was not acknowledged in `ackTimeout`; sends one at a time, in order. */
  retries?: number;
  /** How long an acknowledgement may take, in milliseconds. */
  ackTimeout?: number;
}

export interface ManagerOptions extends SocketOptions {
  /** The path of the server. Default `/socket.io/`. */
  path?: string;
  /** More query parameters for every request. */
  query?: { [key: string]: string | number | boolean } | string;
  /** The transports to use, in the order in which to try them. Default `["websocket", "polling"]`. */
  transports?: TransportName[];
  /** Whether a connection that polls moves to WebSocket when it can. Default `true`. */
  upgrade?: boolean;
  /** Whether cookies go with requests to another origin. Default `false`. */
  withCredentials?: boolean;
  /** Whether to connect at once. Default `true`. */
  autoConnect?: boolean;
  /** Whether this socket gets a connection of its own. Default `false`. */
  forceNew?: boolean;
  /** Whether namespaces of one server share a connection. Default `true`. */
  multiplex?: boolean;
  /** Whether to reconnect. Default `true`. */
  reconnection?: boolean;
  /** How many attempts in a row may fail. Default `Infinity`. */
  reconnectionAttempts?: number;
  /** The ceiling of the first delay, in milliseconds; it doubles. Default 1000. */
  reconnectionDelay?: number;
  /** The highest ceiling, in milliseconds. Default 5000. */
  reconnectionDelayMax?: number;
  /** The random part of a delay: 1 is full jitter, 0 none. Default 1. */
  randomizationFactor?: number;
  /** How long one attempt to connect may take, in milliseconds. Default 20000. */
  timeout?: number;
  /** How many messages wait while there is no connection. Default 10000. */
  sendBufferPackets?: number;
  /** How many bytes may wait to be sent. Default 4 MiB. */
  sendBufferBytes?: number;
  /** The largest message taken from the server, attachments included, in bytes. Default 10,000,000. */
  maxMessageBytes?: number;
  /** How deep the JSON of a message may nest. Default 64. */
  maxDepth?: number;
  /** The WebSocket class to use instead of the platform's. */
  WebSocket?: new (url: string) => WebSocket;
  /** The function to use instead of the platform's `fetch`. */
  fetch?: typeof fetch;
}

export type DisconnectReason =
  | "io server disconnect"
  | "io client disconnect"
  | "ping timeout"
  | "transport close"
  | "transport error"
  | "parse error";

/** Details about the end of a connection. */
export interface DisconnectDetails {
  description: string;
  context: {
    /** The close code of a WebSocket. */
    code?: number;
    /** The reason that came with it. */
    reason?: string;
    /** The status of the response to a polling request. */
    status?: number;
  };
}

export interface ConnectError extends Error {
  /** The reason that the server gave, if the server refused. */
  data?: any;
  description?: string;
  context?: DisconnectDetails["context"];
}

/**
 * A message that could not be taken: `emit` throws it, `emitWithAck` rejects with it. An error that is
 * known only later, as of a message with a Blob, goes to the callback if there is a timeout, and else to the socket's
 * `error` event.
 */
export interface SendError extends Error {
  code: "send_buffer_full" | "too_big" | "too_many_attachments" | "too_many_acks" | "unreadable";
}

interface ReservedEvents {
  connect: () => void;
  connect_error: (error: ConnectError) => void;
  disconnect: (reason: DisconnectReason, details?: DisconnectDetails) => void;
}
type Reserved = keyof ReservedEvents;
/** Errors that have no other place: see the README. A server's own event of that name takes precedence. */
type Failure = "error";

/** Codes of moorline's relay. */
export type RelayErrorCode =
  | "bad_target"
  | "bad_event"
  | "bad_room"
  | "not_member"
  | "too_many"
  | "bus_down"
  | "timeout"
  | "no_handler";
export type RoomAnswer = { ok: true; local?: true; error?: undefined } | { ok?: undefined; error: RelayErrorCode };
export interface SendAnswer {
  /** How many sockets the target named, on all nodes. */
  expected?: number;
  error?: RelayErrorCode;
}
export interface AskAnswer<Response = any> extends SendAnswer {
  /** The first argument of each acknowledgement, in order of arrival. */
  responses?: Response[];
  /** How many acknowledgements there were beyond these. */
  more?: number;
}
export type Target = string | string[];

/** Sends to sockets and rooms through moorline's relay. */
export interface Relay {
  /** Sends an event to everyone the target names (`@to`). A function as last argument is called with their number. */
  emit(event: string, ...args: any[]): void;
  /** Sends an event to everyone the target names and gathers their acknowledgements (`@ask`). */
  emitWithAck<Response = any>(event: string, ...args: any[]): Promise<AskAnswer<Response>>;
}

/** Sends one event with a timeout or as volatile. `Emit` is as in `emit`, `Untimed` the events without a timeout. */
export interface Emission<Emit extends EventsMap, Untimed extends EventsMap = Emit> {
  readonly volatile: Emission<Emit, Untimed>;
  timeout(ms: number): Emission<DecorateAcknowledgements<Untimed>, Untimed>;
  to(target: Target): Relay;
  emit<Event extends EventNames<Emit>>(event: Event, ...args: EventParams<Emit, Event>): void;
  emitWithAck<Event extends EventNames<Untimed>>(
    event: Event,
    ...args: AskParams<Untimed, Event>
  ): Promise<Answer<Untimed, Event>>;
}

/** One namespace over a connection. */
export class Socket<Listen extends EventsMap = DefaultEventsMap, Emit extends EventsMap = Listen> {
  private constructor();
  /** The connection this socket shares with others of the same server. */
  readonly io: Manager;
  /** The namespace, such as `/`. */
  readonly nsp: string;
  /** Its address while connected: others reach it by this. */
  readonly id: string | undefined;
  readonly connected: boolean;
  readonly disconnected: boolean;
  /** Whether it is connected or will become so without being told. */
  readonly active: boolean;
  /** Whether missed events were delivered after the last reconnect. */
  readonly recovered: boolean;
  /** The node of the cluster that this tab is on, if the server says so. */
  readonly node: string | undefined;
  /** Read at every connect. */
  auth: Auth | undefined;

  connect(): this;
  open(): this;
  disconnect(): this;
  close(): this;

  on<Event extends Reserved | Failure | EventNames<Listen>>(event: Event, handler: HandlerOf<Listen, Event>): this;
  once<Event extends Reserved | Failure | EventNames<Listen>>(event: Event, handler: HandlerOf<Listen, Event>): this;
  /** Removes one handler, all of an event, or all. */
  off<Event extends Reserved | Failure | EventNames<Listen>>(event?: Event, handler?: HandlerOf<Listen, Event>): this;
  removeListener<Event extends Reserved | Failure | EventNames<Listen>>(event: Event, handler: HandlerOf<Listen, Event>): this;
  removeAllListeners(event?: Reserved | Failure | EventNames<Listen>): this;
  listeners<Event extends Reserved | Failure | EventNames<Listen>>(event: Event): HandlerOf<Listen, Event>[];
  hasListeners(event: Reserved | Failure | EventNames<Listen>): boolean;
  /** Calls the handler with every event from the server. */
  onAny(handler: (event: string, ...args: any[]) => void): this;
  prependAny(handler: (event: string, ...args: any[]) => void): this;
  offAny(handler?: (event: string, ...args: any[]) => void): this;

  /** Sends an event; a function as last argument is called with the acknowledgement. Throws a `SendError` when full. */
  emit<Event extends EventNames<Emit>>(event: Event, ...args: EventParams<Emit, Event>): this;
  /** Sends an event and resolves with the acknowledgement's first argument. */
  emitWithAck<Event extends EventNames<Emit>>(event: Event, ...args: AskParams<Emit, Event>): Promise<Answer<Emit, Event>>;
  /** Sends a `message` event. */
  send(...args: any[]): this;
  /** The next emission fails if it is not acknowledged in so many milliseconds. */
  timeout(ms: number): Emission<DecorateAcknowledgements<Emit>, Emit>;
  /** The next emission is dropped when it cannot be sent at once. */
  readonly volatile: Emission<Emit>;

  /** Joins a room of moorline's relay. */
  join(room: string): Promise<RoomAnswer>;
  leave(room: string): Promise<RoomAnswer>;
  /** The sockets with these ids and in these rooms. */
  to(target: Target): Relay;
}

export namespace Socket {
  /** As Socket.IO's types name it. */
  type DisconnectReason = Reason;
}
type Reason = DisconnectReason;

type HandlerOf<Listen extends EventsMap, Event> = Event extends Reserved
  ? ReservedEvents[Event]
  : Event extends keyof Listen
    ? Listen[Event]
    : Event extends Failure
      ? (error: Error) => void
      : never;

export interface ManagerEvents {
  open: () => void;
  close: (reason: DisconnectReason, details?: DisconnectDetails) => void;
  error: (error: Error) => void;
  /** The transport changed, as when polling gives way to WebSocket. */
  upgrade: (transport: TransportName) => void;
  reconnect_attempt: (attempt: number) => void;
  reconnect: (attempt: number) => void;
  reconnect_error: (error: ConnectError) => void;
  reconnect_failed: () => void;
}

/** One connection to one server. */
export class Manager {
  private constructor();
  readonly node: string | undefined;
  /** How packets travel now; undefined while there is no connection. */
  readonly transport: TransportName | undefined;
  on<Event extends keyof ManagerEvents>(event: Event, handler: ManagerEvents[Event]): this;
  once<Event extends keyof ManagerEvents>(event: Event, handler: ManagerEvents[Event]): this;
  off<Event extends keyof ManagerEvents>(event?: Event, handler?: ManagerEvents[Event]): this;
  removeListener<Event extends keyof ManagerEvents>(event: Event, handler: ManagerEvents[Event]): this;
  removeAllListeners(event?: keyof ManagerEvents): this;
  /** The socket of another namespace over this connection. */
  socket<Listen extends EventsMap = DefaultEventsMap, Emit extends EventsMap = Listen>(
    namespace: string,
    options?: SocketOptions,
  ): Socket<Listen, Emit>;
}

/** A socket for the namespace that is the URL's path; without a URL, for the page's own host. */
export function io<Listen extends EventsMap = DefaultEventsMap, Emit extends EventsMap = Listen>(
  url?: string | URL,
  options?: ManagerOptions,
): Socket<Listen, Emit>;
export function io<Listen extends EventsMap = DefaultEventsMap, Emit extends EventsMap = Listen>(
  options: ManagerOptions,
): Socket<Listen, Emit>;

export { io as connect };
export default io;

/** The version of this package. */
export const version: string;
