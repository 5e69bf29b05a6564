/** Every message of the stream protocol `fetalseg.v1`, as server/README.md describes it. */

export type CodecWord = "jpeg" | "png" | "gray8" | "rgb24";
export type MaskWord = "polygon" | "rle" | "labelmap" | "none";
export type NmsWord =
  | "fast" | "fast_cross_class" | "greedy" | "greedy_cross_class" | "soft_linear" | "soft_gaussian" | "matrix";
export type SkipReason =
  | "superseded" | "deadline" | "decode_error" | "unsupported_codec" | "too_large" | "rate_limited" | "overloaded"
  | "engine_error" | "draining";

/** What a session may choose, in `hello` and again in `configure`; an absent key leaves the choice to the server. */
export interface SessionOptions {
  codec?: CodecWord | null;
  /** px; informs admission only */
  width?: number;
  height?: number;
  /** y, x in mm of a pixel */
  spacing_mm?: [number, number] | null;
  /** above 0, at most 60000; an older frame is skipped */
  deadline_ms?: number | null;
  masks?: MaskWord;
  model?: string | null;
  /** 0..1 */
  min_score?: number | null;
  nms?: NmsWord | null;
  track?: boolean;
  fetuses?: number;
  examination?: boolean;
}

// From the client

export interface Hello extends SessionOptions {
  type: "hello";
  token?: string;
  /** id of a session that was lost less than a minute ago */
  resume?: string;
}
export interface Configure extends SessionOptions {
  type: "configure";
}
export interface Ping {
  type: "ping";
  id: number | string;
}
export interface Bye {
  type: "bye";
}
export type ClientMessage = Hello | Configure | Ping | Bye;

// From the server; all times ending in `_us` are its monotonic clock in microseconds

export interface Model {
  name: string;
  version: string;
  sha256: string;
  /** height, width */
  input: [number, number];
  /** in the order of their ids */
  structures: string[];
}
export interface Ready {
  type: "ready";
  session: string;
  protocol: number;
  model: Model;
  engine: string;
  limits: { window: number; max_frame_bytes: number; max_pixels: number; max_fps: number };
  features: string[];
  /** of a server with a quality ladder: what each rung above 0 means */
  ladder?: string[];
  research_use_only: boolean;
}
export interface ErrorMessage {
  type: "error";
  code: string;
  message: string;
  /** the connection closes after it */
  fatal: boolean;
}
export interface Instance {
  structure: string;
  /** place in `ready.model.structures`, from 1 on */
  structure_id: number;
  /** 0..1 */
  score: number;
  /** x1, y1, x2, y2 in pixels of the frame that was sent */
  box: [number, number, number, number];
  /** the same number while it is the same part of the same fetus */
  track_id: number | null;
  fetus: number | null;
  /** outer rings x, y, x, y, ..., not closed, with masks "polygon" */
  polygon?: number[][];
  /** COCO's compressed string, with masks "rle"; `size` is height, width */
  rle?: { size: [number, number]; counts: string };
}
export interface View {
  name: string;
  /** 0..1 */
  score: number;
}
export interface Timing {
  queue: number;
  decode: number;
  preprocess: number;
  infer: number;
  postprocess: number;
  encode: number;
  total: number;
}
/** The frame that shows a structure or view best so far. */
export interface BestFrame {
  sequence: number;
  time_us: number;
  /** 0..1 */
  score: number;
  sharpness: number;
}
export interface ExaminationEntry {
  /** "complete" of views only: each essential structure was seen in this view */
  status: "not_yet" | "seen" | "complete";
  /** in which it was found */
  frames: number;
  /** how often it appeared */
  times: number;
  first_us: number | null;
  last_us: number | null;
  best: BestFrame | null;
  /** of views: essential structures not seen in it yet */
  missing?: string[];
}
/** Entries of the check list, by name: those that changed since the result before. */
export interface Examination {
  structures: Record<string, ExaminationEntry>;
  views: Record<string, ExaminationEntry>;
}
export interface Result {
  type: "result";
  sequence: number;
  capture_time_us: number;
  received_us: number;
  sent_us: number;
  view: View | null;
  instances: Instance[];
  timing_ms: Timing;
  /** step of the quality ladder; 0 is full quality */
  rung: number;
  /** frames skipped since the result before */
  dropped_before: number;
  /** where the session keeps a check list */
  examination?: Examination | null;
}
export interface Skipped {
  type: "skipped";
  sequence: number;
  received_us: number;
  sent_us: number;
  reason: SkipReason;
  detail: string;
}
export interface Configured {
  type: "configured";
  options: Required<SessionOptions>;
}
export interface Pong {
  type: "pong";
  id: number | string | null;
  received_us: number;
  sent_us: number;
}
export interface Notice {
  type: "notice";
  code: string;
  message?: string;
  /** with "model_changed": the one that the next results come from */
  model?: Model;
}
export type ServerMessage = Ready | ErrorMessage | Result | Skipped | Configured | Pong | Notice;
