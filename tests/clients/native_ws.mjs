// Talks Huddle's native protocol in JSON through npm's `ws`: many connections, one process, by a plan.
//
// Standard input: the plan in one line of JSON, then `go` (send), then `stop`. Standard output: `caught_up`, `done`.
// Every frame that comes goes into the file `record` of the plan as it is, one line each. See
// tests/src/clients/foreign.rs.

import { createWriteStream } from "node:fs";
import { createRequire } from "node:module";
import { createInterface } from "node:readline";

const { WebSocket } = createRequire(import.meta.url)("ws");

const RECONNECT_PAUSE_MS = 100;
const RETRY_PAUSE_MS = 200;

function fail(problem) {
  console.error(problem);
  process.exit(1);
}

// One user's client: it keeps its place in each team over as many connections as it takes.
class Member {
  attempt = 0;
  sending = false;
  stopping = false;
  caughtUp = new Set();
  messages = new Map();

  constructor(plan, record, report) {
    this.plan = plan;
    this.record = record;
    this.report = report;
    this.cursors = new Map(plan.subscriptions.map(({ team, after }) => [team, after]));
    this.unfinished = new Map(plan.sends.map((send) => [`${send.team}/${send.client_id}`, { send, seq: null }]));
    this.connect();
  }

  connect() {
    this.lastId = 0;
    this.requests = new Map();
    this.storedUpTo = new Map();
    this.waiting = [...this.unfinished.values()].map(({ send }) => send);
    this.inFlight = 0;
    this.welcomed = false;
    const url = this.plan.urls[this.attempt % this.plan.urls.length];
    const socket = new WebSocket(url, "huddle.v1.json");
    this.socket = socket;
    socket.on("open", () => this.request({ hello: { token: this.plan.token } }));
    socket.on("message", (data, isBinary) => {
      if (isBinary) fail(`${this.plan.name}: a binary frame`);
      this.receive(data.toString("utf8"));
    });
    socket.on("error", (error) => console.error(`${this.plan.name}: ${error.message}`));
    socket.on("close", (code, reason) => this.closed(code, reason.toString()));
  }

  closed(code, reason) {
    if (this.stopping) return this.ended?.();
    if (code === 1009 || (code >= 4400 && code <= 4499)) fail(`${this.plan.name}: closed with ${code} ${reason}`);
    console.error(`${this.plan.name}: closed with ${code} ${reason}, connecting again`);
    this.attempt += 1;
    const pause = Math.max(RECONNECT_PAUSE_MS, this.reconnectIn ?? 0);
    this.reconnectIn = undefined;
    setTimeout(() => this.connect(), pause);
  }

  request(request, context) {
    const id = String(++this.lastId);
    this.requests.set(id, { request, ...context });
    this.socket.send(JSON.stringify({ id, ...request }));
  }

  receive(text) {
    this.record.write(`{"connection":${JSON.stringify(this.plan.name)},"attempt":${this.attempt},"frame":${text}}\n`);
    const frame = JSON.parse(text);
    const asked = this.requests.get(frame.reply_to);
    if (frame.reply_to) this.requests.delete(frame.reply_to);
    if (frame.welcome) {
      this.welcomed = true;
      for (const { team } of this.plan.subscriptions) {
        const after = this.cursors.get(team);
        this.request({ subscribe: after == null ? { team } : { team, after } });
      }
      this.sendMore();
    } else if (frame.event) {
      const { team, seq, posted } = frame.event;
      this.cursors.set(team, seq);
      if (posted) this.messages.set(team, (this.messages.get(team) ?? 0) + 1);
    } else if (frame.caught_up) {
      this.cursors.set(frame.caught_up.team, frame.caught_up.seq ?? "0");
      this.caughtUp.add(frame.caught_up.team);
    } else if (frame.accepted) {
      this.inFlight -= 1;
      const { team, client_id, seq } = frame.accepted;
      const entry = this.unfinished.get(`${team}/${client_id}`);
      if (entry) entry.seq = BigInt(seq);
      this.finish(team);
      this.sendMore();
    } else if (frame.stored) {
      const { team, seq } = frame.stored;
      this.storedUpTo.set(team, BigInt(seq));
      this.finish(team);
    } else if (frame.unsubscribed) {
      if (this.requests.size === 0) this.socket.close(1000);
    } else if (frame.go_away) {
      this.reconnectIn = frame.go_away.reconnect_in_ms;
    } else if (frame.subscription_ended) {
      if (!frame.subscription_ended.error.retryable) fail(`${this.plan.name}: ${text}`);
      this.socket.terminate();
    } else if (frame.error) {
      this.refused(frame.error, asked, text);
    }
    this.report();
  }

  refused(error, asked, text) {
    if (!error.retryable) fail(`${this.plan.name}: ${text}`);
    const socket = this.socket;
    setTimeout(() => {
      if (socket !== this.socket || socket.readyState !== WebSocket.OPEN) return;
      if (asked.request.send) {
        this.inFlight -= 1;
        this.waiting.unshift(asked.request.send);
        this.sendMore();
      } else {
        this.request(asked.request);
      }
    }, RETRY_PAUSE_MS);
  }

  finish(team) {
    const storedUpTo = this.storedUpTo.get(team);
    if (storedUpTo === undefined) return;
    for (const [key, { send, seq }] of this.unfinished) {
      if (send.team === team && seq !== null && seq <= storedUpTo) this.unfinished.delete(key);
    }
  }

  go() {
    this.sending = true;
    this.sendMore();
    this.report();
  }

  sendMore() {
    if (!this.sending || !this.welcomed || this.stopping || this.socket.readyState !== WebSocket.OPEN) return;
    while (this.inFlight < this.plan.in_flight_max && this.waiting.length > 0) {
      this.inFlight += 1;
      this.request({ send: this.waiting.shift() });
    }
  }

  stop() {
    this.stopping = true;
    return new Promise((resolve) => {
      this.ended = resolve;
      if (this.socket.readyState === WebSocket.CLOSED) return resolve();
      if (this.plan.subscriptions.length === 0) return this.socket.close(1000);
      for (const { team } of this.plan.subscriptions) this.request({ unsubscribe: { team } });
    });
  }

  isCaughtUp() {
    return this.welcomed && this.plan.subscriptions.every(({ team }) => this.caughtUp.has(team));
  }

  isDone() {
    const received = ({ team, messages }) => (this.messages.get(team) ?? 0) >= messages;
    return this.sending && this.unfinished.size === 0 && this.plan.subscriptions.every(received);
  }
}

let members = [];
let record;
const told = new Set();

function report() {
  const tell = (word, holds) => {
    if (!told.has(word) && members.length > 0 && members.every(holds)) {
      told.add(word);
      console.log(word);
    }
  };
  tell("caught_up", (member) => member.isCaughtUp());
  if (told.has("caught_up")) tell("done", (member) => member.isDone());
}

async function stop() {
  await Promise.all(members.map((member) => member.stop()));
  record.end(() => process.exit(0));
}

const input = createInterface({ input: process.stdin });
input.on("line", (line) => {
  if (line === "go") {
    members.forEach((member) => member.go());
  } else if (line === "stop") {
    stop();
  } else {
    const plan = JSON.parse(line);
    record = createWriteStream(plan.record);
    members = plan.connections.map((connection) => new Member(connection, record, report));
  }
});
// The test is gone when the input ends without `stop`.
input.on("close", () => members.some((member) => member.stopping) || fail("the input has ended"));
