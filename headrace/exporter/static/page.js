// Polls status.json and shows it. Whatever comes from there is put in as text, never as markup.

const POLL_MS = 2000;
const PATIENCE_MS = 10000;
const KEPT_RATES = 150; // five minutes
const FIRST_RATES = 30;

const byId = (id) => document.getElementById(id);
const grouped = new Intl.NumberFormat("en-US", { maximumFractionDigits: 0 });
const precise = new Intl.NumberFormat("en-US", { maximumFractionDigits: 1 });
const number = (value) => grouped.format(value);
const rate = (value) => (value < 10 ? precise : grouped).format(value);

function counted(value, noun, nouns = `${noun}s`) {
  return `${number(value)} ${value === 1 ? noun : nouns}`;
}

function age(seconds) {
  const whole = Math.max(0, Math.round(seconds));
  if (whole < 60) return `${whole} s`;
  const minutes = Math.floor(whole / 60);
  if (minutes < 10 && whole % 60) return `${minutes} min ${whole % 60} s`;
  if (minutes < 60) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  if (hours < 24) return minutes % 60 ? `${hours} h ${minutes % 60} min` : `${hours} h`;
  const days = Math.floor(hours / 24);
  return hours % 24 ? `${days} d ${hours % 24} h` : `${days} d`;
}

const clock = (ms) => new Date(ms).toLocaleTimeString([], { hour12: false });

// An unchanged text is left alone: a screen reader and a selection have nothing to notice.
function put(element, words) {
  const text = String(words);
  if (element.textContent !== text) element.textContent = text;
}

function make(tag, text = "", className = "") {
  const made = document.createElement(tag);
  if (text) made.textContent = text;
  if (className) made.className = className;
  return made;
}

// A table whose rows are kept, so that focus and choices stay while figures change.
class Table {
  constructor(id, columns) {
    this.table = byId(id);
    this.columns = columns;
    this.rows = new Map();
    // Said once more, as a row that is shown as a card loses its role in some browsers.
    this.table.setAttribute("role", "table");
    const head = make("thead");
    const row = make("tr");
    head.setAttribute("role", "rowgroup");
    row.setAttribute("role", "row");
    for (const column of columns) {
      const cell = make("th", column.title, column.number ? "number" : "");
      if (column.unseen) cell.replaceChildren(make("span", column.title, "unseen"));
      cell.scope = "col";
      cell.setAttribute("role", "columnheader");
      row.append(cell);
    }
    head.append(row);
    this.body = make("tbody");
    this.body.setAttribute("role", "rowgroup");
    this.table.append(head, this.body);
    this.none = this.table.nextElementSibling;
  }

  show(items, keyOf) {
    const kept = new Set();
    items.forEach((item, at) => {
      const key = keyOf(item);
      kept.add(key);
      const row = this.rows.get(key) ?? this.add(key);
      this.columns.forEach((column, number) => {
        const cell = row.children[number];
        column.fill(cell, item);
        cell.toggleAttribute("data-empty", !cell.textContent && !cell.firstElementChild);
      });
      if (this.body.children[at] !== row) this.body.insertBefore(row, this.body.children[at] ?? null);
    });
    for (const [key, row] of this.rows) {
      if (!kept.has(key)) {
        row.remove();
        this.rows.delete(key);
      }
    }
    this.table.hidden = items.length === 0;
    this.none.hidden = items.length > 0;
  }

  add(key) {
    const row = make("tr");
    row.setAttribute("role", "row");
    for (const column of this.columns) {
      const cell = make(column.heads ? "th" : "td", "", column.number ? "number" : "");
      cell.setAttribute("role", column.heads ? "rowheader" : "cell");
      if (column.heads) cell.scope = "row";
      else if (!column.unseen) cell.dataset.label = column.title;
      row.append(cell);
    }
    this.rows.set(key, row);
    return row;
  }
}

// Values of a cell: the first line, and below it a small one.
function fill(cell, main, below = "", className = "") {
  if (!cell.firstElementChild) cell.append(make("span"));
  const holder = cell.firstElementChild;
  if (!holder.firstElementChild) holder.append(make("span"), make("small"));
  const [first, second] = holder.children;
  put(first, main);
  first.className = className;
  put(second, below);
  second.hidden = !below;
}

const plain = (title, text, more = {}) => ({ title, fill: (cell, item) => put(cell, text(item)), ...more });

let now = Date.now();

function fillProgress(cell, job) {
  const { progress } = job;
  if (!cell.firstElementChild) {
    const holder = make("span");
    holder.append(make("progress"), make("small"));
    cell.append(holder);
  }
  const [shown, figures] = cell.firstElementChild.children;
  if (progress.share === null) shown.removeAttribute("value");
  else shown.value = progress.share;
  shown.setAttribute("aria-label", `${job.source}, chunks written`);
  // What is over has no way to go: a bar of what failed would look like one.
  const over = job.state === "done";
  shown.hidden = over || (progress.share === null && !progress.listing);
  const more = progress.listing ? "+" : "";
  const parts = [
    over || progress.share === null ? "" : `${Math.floor(progress.share * 100)} %`,
    over ? counted(progress.chunks_done, "chunk") : `${number(progress.chunks_done)}/${number(progress.chunks)}${more} chunks`,
    over ? counted(progress.documents, "document") : `${number(progress.documents_done)}/${number(progress.documents)}${more} documents`,
    progress.failed ? `${number(progress.failed)} failed` : "",
  ];
  put(figures, parts.filter(Boolean).join(" · "));
}

const tables = {
  jobs: new Table("jobs", [
    { title: "Source", heads: true, fill: (cell, job) => fill(cell, job.source, `in ${job.collection}, ${job.id}`) },
    { title: "State", fill: (cell, job) => fill(cell, job.state, job.held || job.progress.trouble) },
    { title: "Progress", fill: fillProgress },
    plain("Chunks/s", (job) => (job.progress.chunks_per_second ? rate(job.progress.chunks_per_second) : ""), { number: true }),
    plain("Time left", (job) => (job.progress.eta_seconds === null || job.progress.share === 1 ? "" : age(job.progress.eta_seconds)), { number: true }),
  ]),
  lanes: new Table("lanes", [
    plain("Lane", (lane) => lane.name, { heads: true }),
    plain("Waiting", (lane) => number(lane.work.waiting), { number: true }),
    plain("In hand", (lane) => number(lane.work.leased), { number: true }),
    plain("To be tried again", (lane) => number(lane.work.resting), { number: true }),
    plain("Paused", (lane) => number(lane.work.parked), { number: true }),
    plain("Messages", (lane) => (lane.messages === null ? "elsewhere" : number(lane.messages)), { number: true }),
    plain("Oldest", (lane) => (lane.work.oldest_ms ? age(lane.work.oldest_ms / 1000) : "–"), { number: true }),
  ]),
  sources: new Table("sources", [
    { title: "Source", heads: true, fill: (cell, source) => fill(cell, source.name, `in ${source.collection}`) },
    plain("Documents", (source) => number(source.documents), { number: true }),
    plain("Complete", (source) => (source.completed_ms ? `${age((now - source.completed_ms) / 1000)} ago` : "not yet"), { number: true }),
    plain("Tokens today", (source) => number(source.tokens_today) + (source.tokens_limit ? ` of ${number(source.tokens_limit)}` : ""), { number: true }),
  ]),
  schedules: new Table("schedules", [
    { title: "Schedule", heads: true, fill: (cell, entry) => fill(cell, entry.name, `${entry.source} in ${entry.collection}`) },
    { title: "State", fill: (cell, entry) => fill(cell, entry.state, "", entry.state === "overdue" ? "warn" : "") },
    plain("Next", (entry) => (entry.next_due_ms ? (entry.next_due_ms > now ? `in ${age((entry.next_due_ms - now) / 1000)}` : "now") : "–"), { number: true }),
    { title: "Last run", fill: (cell, entry) => fill(cell, entry.last_state ? `${entry.last_state}${entry.last_ms ? `, ${age((now - entry.last_ms) / 1000)} ago` : ""}` : "none yet", entry.last_reason) },
  ]),
  processes: new Table("processes", [
    plain("Process", (process) => process.name, { heads: true }),
    plain("Kind", (process) => process.kind),
    { title: "Waits for", fill: (cell, process) => fill(cell, process.waits, process.why, process.waits === "nothing" ? "" : "warn") },
  ]),
  letters: new Table("letters", [
    { title: "Choose", unseen: true, fill: fillChoice },
    { title: "Document", heads: true, fill: (cell, letter) => fill(cell, letter.key, `${letter.source} in ${letter.collection}`) },
    { title: "Reason", fill: (cell, letter) => fill(cell, `${letter.stage}: ${letter.reason}`, letter.message) },
    plain("Tries", (letter) => number(letter.attempts), { number: true }),
    plain("Since", (letter) => age((now - letter.at_ms) / 1000), { number: true }),
  ]),
};

const letterKey = (letter) => JSON.stringify([letter.collection, letter.id]);
const chosen = new Set();

function fillChoice(cell, letter) {
  if (!cell.firstElementChild) {
    const box = make("input");
    box.type = "checkbox";
    box.addEventListener("change", () => {
      if (box.checked) chosen.add(letterKey(letter));
      else chosen.delete(letterKey(letter));
      nameButton();
    });
    cell.append(box);
  }
  const box = cell.firstElementChild;
  box.checked = chosen.has(letterKey(letter));
  box.setAttribute("aria-label", `choose ${letter.key}`);
  box.hidden = byId("replay").hidden;
}

function nameButton() {
  const button = byId("replay-button");
  put(button, chosen.size ? `Replay ${counted(chosen.size, "document")}` : "Replay");
  button.disabled = chosen.size === 0 || button.dataset.busy === "yes";
}

const rates = [];

function spark(value) {
  rates.push(value);
  if (rates.length > KEPT_RATES) rates.shift();
  const most = Math.max(...rates, 1);
  const step = 200 / (Math.max(rates.length, FIRST_RATES) - 1);
  const points = rates.map((each, at) => `${200 - (rates.length - 1 - at) * step},${38 - (each / most) * 36}`);
  byId("spark").firstElementChild.setAttribute("points", points.join(" "));
  byId("spark").setAttribute("aria-label", `chunks a second over the last ${age((rates.length * POLL_MS) / 1000)}, at most ${rate(most)}`);
}

let announced = "";

// A live region is read aloud: only when what is wrong changes, not with every figure in it.
function judge(verdict, sentence, reasons = []) {
  byId("verdict").dataset.verdict = verdict;
  const many = reasons.length > 1;
  put(byId("verdict-word"), { fine: "Fine", attention: "Attention", trouble: "Trouble", unknown: "Unknown" }[verdict]);
  put(byId("sentence"), many ? "" : sentence);
  const list = byId("reasons");
  while (list.children.length > (many ? reasons.length : 0)) list.lastElementChild.remove();
  if (many) {
    reasons.forEach((reason, at) => {
      if (!list.children[at]) list.append(make("li"));
      put(list.children[at], reason.text);
    });
  }
  list.hidden = !many;
  const gist = `${verdict} ${sentence.replace(/[\d.,]+/g, "")}`;
  if (gist !== announced) {
    announced = gist;
    put(byId("announced"), `${byId("verdict-word").textContent}: ${sentence}`);
  }
  document.title = verdict === "fine" ? "headrace: fine" : `headrace: ${verdict}`;
}

function show(status) {
  put(byId("version"), status.version);
  if (!status.read) {
    if (status.outage) judge("trouble", status.outage);
    return;
  }
  now = status.served_ms;
  const stale = (status.served_ms - status.now_ms) / 1000;
  if (status.outage) judge("trouble", `nothing newer is known since ${clock(status.now_ms)}: ${status.outage}`);
  else judge(status.verdict, status.sentence, status.reasons);
  put(byId("at"), stale > 10 ? `as of ${clock(status.now_ms)}, ${age(stale)} ago` : `as of ${clock(status.now_ms)}`);
  put(byId("chunks"), rate(status.chunks_per_second));
  put(byId("documents"), rate(status.documents_per_second));
  put(byId("unfinished"), number(status.unfinished.batches));
  put(byId("unfinished-chunks"), `${status.unfinished.batches === 1 ? "batch" : "batches"}, ${counted(status.unfinished.chunks, "chunk")}`);
  put(byId("oldest"), status.oldest_seconds ? age(status.oldest_seconds) : "none");
  put(byId("workers"), number(status.workers.length));
  put(byId("producers"), status.producers.length ? `and ${counted(status.producers.length, "producer")}` : "");
  put(byId("letters-count"), number(status.dead_letters));
  spark(status.chunks_per_second);
  showTables(status);
}

function showTables(status) {
  tables.jobs.show(status.jobs, (job) => JSON.stringify([job.collection, job.id]));
  tables.lanes.show(status.lanes, (lane) => lane.name);
  tables.sources.show(status.sources, (source) => JSON.stringify([source.collection, source.name]));
  tables.schedules.show(status.schedule_list, (entry) => entry.name);
  const processes = [
    ...status.workers.map((name) => ({ name, kind: "worker" })),
    ...status.producers.map((name) => ({ name, kind: "producer" })),
  ].map((process) => {
    const waits = status.waits.filter((wait) => wait.worker === process.name);
    return {
      ...process,
      waits: waits.map((wait) => `${wait.dependency}, for ${age(wait.seconds)}`).join("; ") || "nothing",
      why: waits.map((wait) => wait.reason).join("; "),
    };
  });
  tables.processes.show(processes, (process) => process.name);
  byId("replay").hidden = !status.can_replay || status.letters.length === 0;
  const there = new Set(status.letters.map(letterKey));
  for (const key of chosen) if (!there.has(key)) chosen.delete(key);
  const reasons = Object.entries(status.letter_reasons).map(([reason, many]) => `${number(many)} ${reason}`);
  const more = status.dead_letters - status.letters.length;
  put(byId("letters-said"), [reasons.join(", "), more > 0 ? `${number(more)} more are not shown: headrace dead-letters list` : ""].filter(Boolean).join("; "));
  tables.letters.show(status.letters, letterKey);
  nameButton();
}

// A header takes bytes: those of UTF-8, as other programs send them.
const bytesOf = (words) => String.fromCharCode(...new TextEncoder().encode(words));

async function replay(event) {
  event.preventDefault();
  const button = byId("replay-button");
  button.dataset.busy = "yes";
  nameButton();
  put(byId("replayed"), "asking …");
  const documents = [...chosen].map((key) => JSON.parse(key)).map(([collection, id]) => ({ collection, id }));
  try {
    const answer = await fetch("replay", {
      method: "POST",
      headers: { "Authorization": `Bearer ${bytesOf(byId("token").value)}`, "Content-Type": "application/json" },
      body: JSON.stringify({ documents }),
    });
    const said = await answer.json();
    put(byId("replayed"), said.said);
    if (answer.ok) chosen.clear();
  } catch (error) {
    put(byId("replayed"), "no answer; nothing may have been replayed");
  }
  button.dataset.busy = "";
  nameButton();
  for (const [key, row] of tables.letters.rows) row.querySelector("input").checked = chosen.has(key);
}

async function poll() {
  if (!document.hidden) {
    try {
      const answer = await fetch("status.json", { cache: "no-store", signal: AbortSignal.timeout(PATIENCE_MS) });
      if (!answer.ok) throw new Error(String(answer.status));
      show(await answer.json());
    } catch (error) {
      judge("trouble", "the exporter does not answer; what is below is how it was");
    }
  }
  setTimeout(poll, document.hidden || tables.lanes.rows.size ? POLL_MS : POLL_MS / 4);
}

byId("replay").addEventListener("submit", replay);
poll();
