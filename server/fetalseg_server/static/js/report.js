// @ts-check
/**
 * The report of an examination, from the server to this computer. It is asked for with the token in a header, as no
 * link could do, and lives in this browser's memory until its tab is closed or it is saved.
 */

const FORGET_AFTER_MS = 60000; // a tab has read the report long before

/**
 * @param {string} session id
 * @param {string} token "" none
 * @returns {Promise<Blob>} a page
 * @throws {Error} in words for the person at the screen
 */
export async function fetchReport(session, token) {
  const url = new URL(`v1/sessions/${encodeURIComponent(session)}/summary`, document.baseURI);
  const headers = { Accept: "text/html", ...(token ? { Authorization: `Bearer ${token}` } : {}) };
  const response = await fetch(url, { headers, cache: "no-store" }).catch(() => null);
  if (!response) throw new Error("The report can't be fetched: the server can't be reached.");
  if (!response.ok) {
    const answer = await response.json().catch(() => ({}));
    throw new Error(`The report can't be fetched: ${answer.error?.message ?? `the server answered ${response.status}`}.`);
  }
  return new Blob([await response.arrayBuffer()], { type: "text/html;charset=utf-8" });
}

/**
 * Opens the report in a tab of its own. The tab is opened before the report is there: later, a browser would take it for
 * a pop-up that nobody asked for.
 *
 * @param {string} session
 * @param {string} token
 */
export async function openReport(session, token) {
  const tab = window.open("", "_blank");
  if (!tab) throw new Error("The browser blocked the report's tab; allow pop-ups for this page, or save the report.");
  tab.document.title = "Report";
  tab.document.body.textContent = "The report is being made…"; // its frames wait for their turn behind the live ones
  try {
    tab.location.replace(temporaryUrl(await fetchReport(session, token)));
  } catch (error) {
    tab.close();
    throw error;
  }
}

/**
 * @param {string} session
 * @param {string} token
 */
export async function saveReport(session, token) {
  const link = document.createElement("a");
  link.href = temporaryUrl(await fetchReport(session, token));
  link.download = `fetalseg-report-${new Date().toISOString().slice(0, 19).replaceAll(":", "-")}.html`;
  link.click();
}

/** @param {Blob} blob */
function temporaryUrl(blob) {
  const url = URL.createObjectURL(blob);
  setTimeout(() => URL.revokeObjectURL(url), FORGET_AFTER_MS);
  return url;
}
