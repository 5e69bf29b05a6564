// @ts-check
/** What the page says of the connection: the words on top, the banner over the picture, the field for a token. */
import { anyById, byId, setText } from "./dom.js";

const TOKEN_KEY = "fetalseg-token";

/** @typedef {import("../client/connection.js").Status} Status */

export class ConnectionPanel {
  #session;
  #field = byId("token", HTMLInputElement);
  #why = ""; // the connection was lost

  /** @param {import("../client/session.js").StreamSession} session */
  constructor(session) {
    this.#session = session;
    const remembered = sessionStorage.getItem(TOKEN_KEY);
    if (remembered) session.setToken(remembered);
    anyById("reconnect").addEventListener("click", () => session.connect());
    anyById("token-form").addEventListener("submit", (event) => {
      event.preventDefault();
      sessionStorage.setItem(TOKEN_KEY, this.#field.value);
      session.setToken(this.#field.value);
      session.connect();
    });
    addEventListener("online", () => session.status.state === "waiting" && session.connect());
  }

  /** The token that this tab knows, "" none. */
  get token() {
    return sessionStorage.getItem(TOKEN_KEY) ?? "";
  }

  /** @param {Status} status */
  update({ state, words }) {
    anyById("connection").dataset.state = state;
    setText(anyById("connection-words"), TITLES[state]);
    anyById("token-form").hidden = state !== "token";
    setText(anyById("token-words"), words);
    if (state === "token") this.#field.focus();
    const ready = this.#session.ready;
    const model = ready && `${ready.model.name} ${ready.model.version} · ${ready.engine}`;
    setText(anyById("model"), model ?? "");
    anyById("model").title = ready ? `Input ${ready.model.input[1]}×${ready.model.input[0]}, SHA-256 ${ready.model.sha256}` : "";
    this.tick();
  }

  /** A few times a second: the banner counts down. */
  tick() {
    const { state, words, retryAt, attempts } = this.#session.status;
    // The very first attempt needs no banner; nor do the moments in which a later one is made.
    const shown = state === "waiting" || state === "failed" || (state === "connecting" && attempts > 0);
    anyById("banner").hidden = !shown;
    if (!shown) return;
    const title = state === "failed" ? "Not connected" : "Connection lost";
    setText(anyById("banner-title"), title);
    if (state !== "connecting") this.#why = words; // an attempt lasts a moment; the banner stays as it is
    setText(anyById("banner-words"), this.#why);
    const seconds = Math.max(1, Math.ceil((retryAt - performance.now()) / 1000));
    setText(anyById("banner-countdown"), state === "waiting" ? `Trying again in ${seconds} s` : state === "connecting" ? "Trying now…" : "");
  }
}

/** @type {Record<Status["state"], string>} */
const TITLES = {
  idle: "Not connected",
  connecting: "Connecting",
  ready: "Connected",
  waiting: "Reconnecting",
  token: "Token needed",
  failed: "Not connected",
};
