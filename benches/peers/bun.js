// Bun's own server and its own publish: the room is a topic, the sender is told like everybody.
const [host, port] = (process.argv[2] ?? "127.0.0.1:0").split(":");
const server = Bun.serve({
  hostname: host,
  port: Number(port),
  fetch(request, server) {
    const path = new URL(request.url).pathname;
    if (server.upgrade(request, { data: path })) return;
    return new Response("a WebSocket is wanted\n", { status: 426 });
  },
  websocket: {
    perMessageDeflate: false,
    open(socket) {
      if (socket.data !== "/echo") socket.subscribe(socket.data);
    },
    message(socket, message) {
      if (socket.data === "/echo") socket.send(message);
      else server.publish(socket.data, message);
    },
  },
});
console.log(`listening on http://${server.hostname}:${server.port}`);
