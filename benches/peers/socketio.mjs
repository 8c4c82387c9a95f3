// Socket.IO's own rooms, for `ringpost-load room --dialect socketio`; the sender is told like
// everybody. Needs `npm install socket.io` in this folder.
import { createServer } from "node:http";
import { Server } from "socket.io";

const [host, port] = (process.argv[2] ?? "127.0.0.1:0").split(":");
const http = createServer();
const server = new Server(http, { transports: ["websocket"], perMessageDeflate: false });
server.on("connection", (socket) => {
  socket.on("join", (room, done) => {
    socket.join(room);
    done();
  });
  socket.on("message", (room, text) => server.to(room).emit("message", text));
});
http.listen(Number(port), host, () => {
  console.log(`listening on http://${host}:${http.address().port}`);
});
