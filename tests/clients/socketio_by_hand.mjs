// Does with npm's `socket.io-client`, in one of three generations, what it is told, line by line.
//
// Standard input, each a line of JSON:
//   {"open": name, "version": 2 | 3 | 4, "url": …, "options": {…}}    what the library calls its options
//   {"emit": name, "event": …, "args": […], "ack": number | null}     with an ack callback if there is a number
//   {"auth": name, "data": {…}}                                       the auth payload of connections from now on
//                                                                     (versions 3 and 4); a `resume` in it, also in
//                                                                     the options, is kept up with what is received
//   {"drop": name}                                                    ends the connection; the library makes a new one
//   {"close": name}                                                   ends the connection for good
// Standard output, each a line of JSON: {"socket": name, "event": …, "args": […]} or {"socket": name, "ack": number,
// "args": […]}. It ends when its input does. See tests/src/socketio.rs.

import { createRequire } from "node:module";
import { createInterface } from "node:readline";

const require = createRequire(import.meta.url);

const EVENTS = [
  "receive_message",
  "notification",
  "message_error",
  "notification_error",
  "typing",
  "message_stored",
  "caught_up",
  "subscription_ended",
  "token_expiring",
  "go_away",
];

const sockets = new Map();
const auths = new Map();
const seen = new Map();
const tell = (told) => console.log(JSON.stringify(told));

function authOf(name) {
  const auth = auths.get(name);
  return auth?.resume ? { ...auth, resume: { ...auth.resume, ...seen.get(name) } } : auth;
}

function open(name, version, url, { auth, ...options }) {
  const library = require(`socket.io-client-${version}`);
  auths.set(name, auth);
  seen.set(name, {});
  if (version > 2) options.auth = (give) => give(authOf(name));
  const socket = (library.io ?? library)(url, { forceNew: true, reconnectionDelay: 100, ...options });
  socket.on("receive_message", ({ team_id, seq }) => (seen.get(name)[team_id] = seq));
  for (const event of ["connect", ...EVENTS]) socket.on(event, (...args) => tell({ socket: name, event, args }));
  // Version 4 says more than the reason.
  socket.on("disconnect", (reason) => tell({ socket: name, event: "disconnect", args: [reason] }));
  const refused = (message, data) => tell({ socket: name, event: "refused", args: [{ message, data }] });
  // Others are errors of the transport, which the library deals with.
  const isRefusal = (error) => error.data?.code || error.message === "Invalid namespace";
  socket.on("connect_error", (error) => isRefusal(error) && refused(error.message, error.data));
  socket.on("error", (error) => typeof error === "string" && refused(error));
  sockets.set(name, socket);
}

const input = createInterface({ input: process.stdin });
input.on("line", (line) => {
  const told = JSON.parse(line);
  if (told.open) {
    open(told.open, told.version, told.url, told.options);
  } else if (told.emit) {
    const { emit, event, args, ack } = told;
    const answered = ack === null ? [] : [(...args) => tell({ socket: emit, ack, args })];
    sockets.get(emit).emit(event, ...args, ...answered);
  } else if (told.auth) {
    auths.set(told.auth, told.data);
  } else if (told.drop) {
    sockets.get(told.drop).io.engine.close();
  } else if (told.close) {
    sockets.get(told.close).disconnect();
  }
});
input.on("close", () => process.exit(0));
