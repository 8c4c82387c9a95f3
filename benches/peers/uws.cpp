// uWebSockets with its own topics; the sender is told like everybody.
//
//   peer-uws ADDRESS [defer]
//
// As documented a message is published where it is received. With `defer` it is published when all
// sockets that were ready have been read, which is faster when many send at once.
#include "App.h"
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

struct Member {
    std::string path;
};

struct Said {
    std::string path, text;
    uWS::OpCode opcode;
};

int main(int count, char **words) {
    std::string address = count > 1 ? words[1] : "127.0.0.1:0";
    bool defer = count > 2 && std::string(words[2]) == "defer";
    auto colon = address.rfind(':');
    std::string host = address.substr(0, colon);
    int port = std::atoi(address.c_str() + colon + 1);
    std::vector<Said> waiting;
    uWS::App app;
    app.ws<Member>("/*", {
        .compression = uWS::DISABLED,
        .maxPayloadLength = 16 * 1024 * 1024,
        .idleTimeout = 120,
        .maxBackpressure = 16 * 1024 * 1024,
        .upgrade = [](auto *res, auto *req, auto *context) {
            res->template upgrade<Member>({std::string(req->getUrl())},
                req->getHeader("sec-websocket-key"), req->getHeader("sec-websocket-protocol"),
                req->getHeader("sec-websocket-extensions"), context);
        },
        .open = [](auto *ws) {
            if (ws->getUserData()->path != "/echo") ws->subscribe(ws->getUserData()->path);
        },
        .message = [&](auto *ws, std::string_view text, uWS::OpCode opcode) {
            const std::string &path = ws->getUserData()->path;
            if (path == "/echo") ws->send(text, opcode);
            else if (defer) waiting.push_back({path, std::string(text), opcode});
            else app.publish(path, text, opcode);
        },
    });
    if (defer) {
        uWS::Loop::get()->addPostHandler(&waiting, [&](uWS::Loop *) {
            for (auto &said : waiting) app.publish(said.path, said.text, said.opcode);
            waiting.clear();
        });
    }
    app.listen(host, port, [&](auto *socket) {
        if (!socket) std::exit(1);
        int bound = us_socket_local_port(0, (struct us_socket_t *) socket);
        std::printf("listening on http://%s:%d\n", host.c_str(), bound);
        std::fflush(stdout);
    });
    app.run();
}
