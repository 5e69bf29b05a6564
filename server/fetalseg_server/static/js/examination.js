// @ts-check
/**
 * The examination: begun and ended by the person at the screen, because the server keeps frames (in memory, the best one
 * of each structure) only where it is asked to.
 */
import { STRUCTURES, VIEW_TITLES } from "./anatomy.js";
import { CheckList } from "./check_list.js";
import { anyById, byId, setText } from "./dom.js";
import { openReport, saveReport } from "./report.js";

const FEATURE = "examination";
const SESSION_KEY = "fetalseg-session"; // a reload within a minute takes the examination up again

export class Examination {
  #session;
  #token;
  #onChange;
  #say;
  #list = new CheckList();
  #running = false;
  #available = false;
  #dialog = byId("end-dialog", HTMLDialogElement);

  /**
   * @param {import("../client/session.js").StreamSession} session
   * @param {object} hooks
   * @param {() => string} hooks.token
   * @param {() => void} hooks.onChange the check list changed, began or ended
   * @param {(words: string) => void} hooks.say
   */
  constructor(session, { token, onChange, say }) {
    this.#session = session;
    this.#token = token;
    this.#onChange = onChange;
    this.#say = say;
    anyById("begin").addEventListener("click", () => this.begin());
    anyById("open-report").addEventListener("click", () => this.openReport());
    anyById("save-report").addEventListener("click", () => this.#fetch(saveReport));
    anyById("end").addEventListener("click", () => this.#dialog.showModal());
    anyById("end-now").addEventListener("click", () => this.#end());
    anyById("end-saved").addEventListener("click", async () => {
      if (await this.#fetch(saveReport)) this.#end();
      else this.#dialog.close();
    });
    anyById("end-not").addEventListener("click", () => this.#dialog.close());
    const earlier = sessionStorage.getItem(SESSION_KEY);
    if (!earlier) return;
    session.takeUp(earlier);
    session.configure({ examination: true });
    this.#running = true;
  }

  /** The check list; null while no examination goes on. */
  get list() {
    return this.#running && this.#available ? this.#list : null;
  }

  /** Whether the page may be left without asking the server to forget. */
  get running() {
    return this.#running;
  }

  /**
   * @param {import("../client/messages.js").Ready} ready
   * @param {boolean} resumed
   */
  connected(ready, resumed) {
    const standard = ready.model.structures.join() === STRUCTURES.map(({ name }) => name).join();
    this.#available = ready.features.includes(FEATURE) && standard; // its list is that of the seventeen
    if (this.#running && !resumed) {
      if (this.#list.done.structures) this.#say("The lost session could not be taken up again: the check list starts afresh.");
      this.#list.clear();
    }
    this.#remember(ready.session);
    this.#show();
  }

  /** @param {import("../client/messages.js").Result} result */
  answered({ examination }) {
    if (!this.#running || !examination) return;
    this.#list.update(examination);
    this.#show();
  }

  begin() {
    if (this.#running || !this.#available) return;
    this.#list.clear();
    this.#running = true;
    this.#session.configure({ examination: true });
    this.#remember(this.#session.ready?.session ?? "");
    this.#show();
  }

  openReport() {
    if (this.list) this.#fetch(openReport);
  }

  #end() {
    this.#dialog.close();
    this.#running = false;
    this.#list.clear();
    this.#remember("");
    this.#show();
    this.#session.configure({ examination: false }); // the frames go at once
    this.#session.leave(); // another examination is another session, whose report has nothing of this one
    this.#session.connect();
  }

  /**
   * @param {(session: string, token: string) => Promise<void>} get
   * @returns {Promise<boolean>} whether there is a report
   */
  async #fetch(get) {
    const session = this.#session.ready?.session;
    try {
      if (!session) throw new Error("The report can't be fetched while there is no connection.");
      await get(session, this.#token());
      return true;
    } catch (error) {
      this.#say(error instanceof Error ? error.message : String(error));
      return false;
    }
  }

  /** @param {string} session */
  #remember(session) {
    if (this.#running && session) sessionStorage.setItem(SESSION_KEY, session);
    else sessionStorage.removeItem(SESSION_KEY);
  }

  #show() {
    anyById("examination").hidden = !this.#available;
    anyById("examination").dataset.running = String(this.#running);
    const { structures, views } = this.#list.done;
    byId("seen", HTMLProgressElement).value = structures;
    byId("seen", HTMLProgressElement).max = STRUCTURES.length;
    const all = Object.keys(VIEW_TITLES).length;
    setText(anyById("seen-words"), `${structures} of ${STRUCTURES.length} structures, ${views} of ${all} views complete`);
    this.#onChange();
  }
}
