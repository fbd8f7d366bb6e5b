// Uses the page in a real Chromium, driven by playwright-core, as people would: one browser context each.
//
// Arguments: the browser's program. Standard input: commands, one JSON object a line, each with `do`, most with `who`.
// Standard output: an answer to each, `{"answer": …}` or `{"problem": "…"}`. Ends when its input does. See
// tests/tests/page/browser.rs.

import { createRequire } from "node:module";
import { createInterface } from "node:readline";

const { chromium } = createRequire(import.meta.url)("playwright-core");

const WAIT_MS = 30_000;
const FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
  "--disable-component-update", "--disable-sync"];
// What a browser says by itself while a server is away.
const EXPECTED = [/WebSocket connection to .* failed/, /Failed to load resource: net::ERR_/];

const browser = await chromium.launch({ executablePath: process.argv[2], headless: true, args: FLAGS });
const people = new Map();
const problems = [];

// Runs in the page before its own script: notes each state that a message and the connection go through.
function observe() {
  window.seen = { messages: {}, connection: [] };
  const note = (states, state) => { if (state && states.at(-1) !== state) states.push(state); };
  const statesOf = (element) => element.id === "status" ? window.seen.connection
    : (window.seen.messages[element.dataset.client_id] ??= []);
  new MutationObserver((changes) => {
    for (const { target, oldValue } of changes) note(statesOf(target), oldValue);
    for (const { target } of changes) note(statesOf(target), target.dataset.state);
  }).observe(document, { attributes: true, attributeFilter: ["data-state"], attributeOldValue: true, subtree: true });
}

// For a picture that is the same each time.
function fixChance(who) {
  let state = [...who].reduce((sum, letter) => sum * 31 + letter.codePointAt(0), 7);
  crypto.getRandomValues = (bytes) => bytes.map(() => (state = (state * 1103 + 12345) % 65521) % 256);
}

function fixTimes() {
  const start = Date.UTC(2026, 5, 1, 9, 41);
  document.querySelectorAll("time").forEach((time, index) => {
    time.textContent = `09:${41 + Math.floor(index / 3)}`;
  });
  let count = 0;
  for (const frame of document.querySelectorAll("#frames div")) {
    frame.textContent = frame.textContent.replace(/("\w*time_ms": )"\d+"/g, (_, name) => `${name}"${start + ++count * 4321}"`);
  }
}

// How many events were lost, and came twice, on all lossy pages.
const meddled = { lost: 0, twice: 0 };

// Loses each live event whose text begins with "lost" the first time that it comes, and repeats those with "twice".
function lose(socket) {
  const server = socket.connectToServer(), lost = new Set();
  let isLive = false;
  server.onMessage((message) => {
    const { event, subscribed, caught_up } = JSON.parse(message), body = event?.posted?.body ?? "";
    // What is lost before `caught_up` cannot be noticed: that says where the cursor is.
    isLive = Boolean(caught_up) || (isLive && !subscribed);
    if (isLive && body.startsWith("lost") && !lost.has(event.seq)) {
      meddled.lost += 1;
      return void lost.add(event.seq);
    }
    socket.send(message);
    if (body.startsWith("twice")) {
      meddled.twice += 1;
      socket.send(message);
    }
  });
}

const rowsIn = (list) => [...list.querySelectorAll("li.message")].map((row) => ({
  seq: row.dataset.seq ?? null,
  client_id: row.dataset.client_id ?? null,
  state: row.dataset.state ?? null,
  own: row.classList.contains("own"),
  body: row.querySelector(".body").textContent,
  elements: row.querySelector(".body").childElementCount,
}));

const commands = {
  // Opens the page as a demo `member`, or with a pasted `token`. With both, the member's first token is that one. With
  // `lossy`, events get lost and come twice.
  async open({ who, url, member, token, team, picture, lossy }) {
    const context = await browser.newContext({
      viewport: { width: 1200, height: 800 }, locale: "en-GB", timezoneId: "UTC", colorScheme: "light",
    });
    const page = await context.newPage();
    page.setDefaultTimeout(WAIT_MS);
    page.on("pageerror", (error) => problems.push(`${who}: ${error.stack}`));
    page.on("console", (message) => {
      const text = message.text(), isExpected = EXPECTED.some((expected) => expected.test(text));
      if (["error", "warning"].includes(message.type()) && !isExpected) problems.push(`${who}: ${text}`);
    });
    page.on("request", (request) => {
      if (![url, "data:"].some((start) => request.url().startsWith(start))) problems.push(`${who}: asked for ${request.url()}`);
    });
    await page.addInitScript(observe);
    if (picture) await page.addInitScript(fixChance, who);
    if (lossy) await page.routeWebSocket(/[/]v1[/]ws$/, lose);
    people.set(who, { page, said: Promise.resolve() });
    if (member && token) {
      await page.route("**/v1/demo", async (route) => {
        const found = await (await route.fetch()).json();
        for (const one of found.members) if (one.user === member) one.token = token;
        await route.fulfill({ json: found });
      }, { times: 1 });
    }
    await page.goto(url);
    await enter(page, { member, token, team });
  },

  // With `refused`, a status that the browser may complain of.
  async enter({ page, member, token, team, refused }) {
    if (refused) EXPECTED.push(new RegExp(`responded with a status of ${refused}`));
    await enter(page, { member, token, team });
  },

  // Types and sends each of `bodies`; `said` waits until all are.
  async say({ page, person, bodies, pause_ms = 0 }) {
    person.said = (async () => {
      for (const body of bodies) {
        await page.fill("#text", body);
        await page.press("#text", "Enter");
        await page.waitForTimeout(pause_ms);
      }
    })();
    person.said.catch(() => {});
  },

  async said({ person }) {
    await person.said;
  },

  async meddled() {
    return meddled;
  },

  async until_connection({ page, state }) {
    await page.waitForFunction((state) => document.getElementById("status").dataset.state === state, state);
  },

  async until_messages({ page, count }) {
    await page.waitForFunction((count) => document.querySelectorAll("li.message").length >= count, count);
  },

  // Connected, and nothing that was said here is still on its way.
  async until_settled({ page }) {
    await page.waitForFunction(() => document.getElementById("status").dataset.state === "online"
      && !document.querySelector("li.message:is([data-state=sending], [data-state=accepted])"));
  },

  async until_sent_away({ page }) {
    await page.locator("#problem").waitFor();
    return page.textContent("#problem");
  },

  async rows({ page }) {
    return page.locator("#log ol").evaluate(rowsIn);
  },

  async seen({ page }) {
    return page.evaluate(() => window.seen);
  },

  async reload({ page }) {
    await page.reload();
  },

  // Pages back to the first message.
  async read_all({ page }) {
    const older = page.locator("#older");
    while (await older.isVisible()) {
      const before = await page.locator("li.message").count();
      await older.click();
      await page.waitForFunction((before) => document.querySelectorAll("li.message").length > before, before);
    }
  },

  // Where a token could leak to, and what the page is.
  async traces({ page }) {
    return page.evaluate(() => ({
      url: location.href, cookie: document.cookie, local: Object.entries(localStorage), title: document.title,
      text: document.body.innerText,
    }));
  },

  async picture({ page, file }) {
    await page.evaluate(fixTimes);
    await page.evaluate(() => document.activeElement.blur());
    await page.screenshot({ path: file });
  },

  async problems() {
    return problems;
  },
};

async function enter(page, { member, token, team }) {
  if (member) {
    await page.locator("#members button").filter({ hasText: new RegExp(member, "i") }).click();
  } else {
    await page.fill("#token", token);
    await page.fill("#team", team);
    await page.press("#team", "Enter");
  }
}

for await (const line of createInterface({ input: process.stdin })) {
  const command = JSON.parse(line);
  const person = people.get(command.who);
  let reply;
  try {
    reply = { answer: (await commands[command.do]({ ...command, person, page: person?.page })) ?? null };
  } catch (error) {
    const status = await person?.page.textContent("#status", { timeout: 1_000 }).catch(() => "");
    reply = { problem: `${line}: ${error.message}; the page says ${JSON.stringify(status)}; ${problems.join("; ")}` };
  }
  console.log(JSON.stringify(reply));
}
await browser.close();
