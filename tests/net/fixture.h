// What the tests of base/net share: a temporary folder, a small PKI made by the openssl command, raw sockets,
// and programs run to their end.
#pragma once

#include <catch2/catch.hpp>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "base/net/client.h"
#include "base/net/server.h"
#include "base/net/socket.h"

namespace kokuin::net::test {

using namespace std::chrono_literals;

class Folder {
  public:
    Folder();
    ~Folder();
    Folder(const Folder&) = delete;
    Folder& operator=(const Folder&) = delete;
    [[nodiscard]] std::string operator/(std::string_view name) const {
        return path_ + '/' + std::string(name);
    }

  private:
    std::string path_;
};

struct Ran {
    int status = -1;     // exit status
    std::string output;  // stdout and stderr
};
/// Runs a line of shell.
Ran run(const std::string& line);
/// The same, which must succeed.
std::string must_run(const std::string& line);

/// root.pem; server.pem/.key (localhost, 127.0.0.1), client.pem/.key (CN tsu-1, DNS tsu-1.example), both
/// under the root; other-root.pem and stranger.pem/.key under it. Made once for the whole program.
const Folder& pki();

/// A client's call, and the same by hand, of GET /hello.
inline Call get(const std::string& path) {
    Call call;
    call.path = path;
    return call;
}
inline const std::string hello = "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n";

/// A raw connection of a client that may be rude.
class Raw {
  public:
    explicit Raw(std::uint16_t port, const std::string& host = "127.0.0.1");
    explicit Raw(const std::string& unix_path);
    bool send(std::string_view octets) const;
    void finish() const;
    /// Reads until the server closes or `text` has been seen; what has been read. Fails the test after 20 s.
    std::string read_until(std::string_view text = "") const;
    /// One answer with Content-Length.
    std::string read_answer();
    [[nodiscard]] int fd() const { return fd_.get(); }

  private:
    Fd fd_;
    std::string rest_;
};

/// A router with the routes tests use: POST /echo (returns body), GET /hello, GET /peer (JSON-less facts of
/// the peer), GET /throw, POST /typed (application/timestamp-query only), GET /p/{name}, GET /tree/{path...},
/// POST /large (1 MiB).
std::shared_ptr<Router> make_router();

/// Options with short but generous times.
ServerOptions options();

/// A started server.
std::unique_ptr<Server> started(ServerOptions with, std::shared_ptr<const Router> router = make_router());

/// Waits until `true_now` holds: progress that another thread makes for sure; fails the test after 20 s.
void wait_until(const std::function<bool()>& true_now);

}  // namespace kokuin::net::test
