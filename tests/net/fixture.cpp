#include "tests/net/fixture.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <stdexcept>
#include <thread>

namespace kokuin::net::test {

Folder::Folder() {
    std::string path = std::filesystem::temp_directory_path() / "kokuin-net-XXXXXX";
    if (!::mkdtemp(path.data())) throw std::runtime_error("no temporary folder");
    path_ = path;
}
Folder::~Folder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
}

Ran run(const std::string& line) {
    Ran out;
    std::FILE* pipe = ::popen(("exec 2>&1; " + line).c_str(), "r");
    if (!pipe) throw std::runtime_error("no shell");
    char buffer[4096];
    while (const auto n = std::fread(buffer, 1, sizeof buffer, pipe)) out.output.append(buffer, n);
    const int status = ::pclose(pipe);
    out.status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    return out;
}

std::string must_run(const std::string& line) {
    auto ran = run(line);
    INFO(line << "\n" << ran.output);
    REQUIRE(ran.status == 0);
    return ran.output;
}

const Folder& pki() {
    static const auto folder = [] {
        auto made = std::make_unique<Folder>();
        const auto dir = *made / "";
        const std::string ec = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 ";
        const auto root = [&](const std::string& name) {
            must_run("cd " + dir + " && openssl req -x509 " + ec + "-keyout " + name + ".key -out " + name +
                     ".pem -subj /CN=" + name);
        };
        const auto leaf = [&](const std::string& name, const std::string& issuer, const std::string& subject,
                              const std::string& names) {
            must_run("cd " + dir + " && printf 'subjectAltName=" + names + "\n' > " + name +
                     ".ext && openssl req -new " + ec + "-keyout " + name + ".key -out " + name +
                     ".csr -subj '" + subject + "' && openssl x509 -req -in " + name + ".csr -CA " + issuer +
                     ".pem -CAkey " + issuer + ".key -CAcreateserial -days 30 -extfile " + name +
                     ".ext -out " + name + ".pem");
        };
        root("root");
        root("other-root");
        leaf("server", "root", "/CN=server", "DNS:localhost,IP:127.0.0.1");
        leaf("client", "root", "/O=Kokuin/CN=tsu-1", "DNS:tsu-1.example");
        leaf("stranger", "other-root", "/CN=tsu-1", "DNS:tsu-1.example");
        return made;
    }();
    return *folder;
}

Raw::Raw(std::uint16_t port, const std::string& host) {
    auto fd = connect_tcp(host, port, deadline_in(20s));
    if (!fd) throw std::runtime_error(fd.error().text);
    fd_ = std::move(*fd);
}
Raw::Raw(const std::string& unix_path) {
    auto fd = connect_unix(unix_path, deadline_in(20s));
    if (!fd) throw std::runtime_error(fd.error().text);
    fd_ = std::move(*fd);
}

bool Raw::send(std::string_view octets) const {
    while (!octets.empty()) {
        const auto n = ::send(fd_.get(), octets.data(), octets.size(), MSG_NOSIGNAL);
        if (n < 0) {
            if (errno != EAGAIN || wait_for(fd_.get(), POLLOUT, deadline_in(20s)) != Waited::ready)
                return false;
            continue;
        }
        octets.remove_prefix(static_cast<std::size_t>(n));
    }
    return true;
}
void Raw::finish() const {
    ::shutdown(fd_.get(), SHUT_WR);
}

std::string Raw::read_until(std::string_view text) const {
    std::string out;
    const auto deadline = deadline_in(20s);
    while (text.empty() || out.find(text) == std::string::npos) {
        char buffer[65536];
        const auto n = ::recv(fd_.get(), buffer, sizeof buffer, 0);
        if (n > 0) {
            out.append(buffer, static_cast<std::size_t>(n));
            continue;
        }
        if (n == 0) return out;
        if (errno == ECONNRESET) return out + "[reset]";
        if (wait_for(fd_.get(), POLLIN, deadline) != Waited::ready)
            throw std::runtime_error("no answer in 20 s; so far: " + out);
    }
    return out;
}

std::string Raw::read_answer() {
    const auto deadline = deadline_in(20s);
    for (;;) {
        const auto end = rest_.find("\r\n\r\n");
        const auto field = rest_.find("Content-Length: ");
        if (end != std::string::npos && field < end) {
            const auto size = end + 4 + std::stoul(rest_.substr(field + 16));
            if (rest_.size() >= size) {
                auto answer = rest_.substr(0, size);
                rest_.erase(0, size);
                return answer;
            }
        }
        char buffer[65536];
        const auto n = ::recv(fd_.get(), buffer, sizeof buffer, 0);
        if (n > 0) {
            rest_.append(buffer, static_cast<std::size_t>(n));
            continue;
        }
        if (n == 0 || (errno != EAGAIN && errno != EINTR)) return "[closed] " + rest_;
        if (wait_for(fd_.get(), POLLIN, deadline) != Waited::ready)
            throw std::runtime_error("no answer in 20 s; so far: " + rest_);
    }
}

std::shared_ptr<Router> make_router() {
    auto router = std::make_shared<Router>();
    router->add("POST", "/echo", [](const Request& request) {
        return Response::octets(
            200, request.content_type.empty() ? "application/octet-stream" : request.content_type,
            request.body);
    });
    router->add("GET", "/hello", [](const Request&) { return Response::text(200, "hello"); });
    router->add("GET", "/peer", [](const Request& request) {
        std::string text =
            "address=" + request.peer.address + " encrypted=" + (request.peer.encrypted ? "1" : "0");
        if (request.peer.process) text += " uid=" + std::to_string(request.peer.process->uid);
        if (request.peer.certificate) {
            text += " cn=" + request.peer.certificate->common_name;
            for (const auto& name : request.peer.certificate->dns_names) text += " dns=" + name;
            text += " sha256=" + to_hex(request.peer.certificate->sha256);
        }
        return Response::text(200, text);
    });
    router->add("GET", "/throw",
                [](const Request&) -> Response { throw std::runtime_error("secret of the inside"); });
    router->add("POST", "/typed", [](const Request&) { return Response::text(200, "typed"); },
                {{"application/timestamp-query"}, {}});
    router->add("GET", "/p/{name}",
                [](const Request& request) { return Response::text(200, request.parameter("name")); });
    router->add("GET", "/p/fixed", [](const Request&) { return Response::text(200, "literal"); });
    router->add("GET", "/tree/{path...}",
                [](const Request& request) { return Response::text(200, request.parameter("path")); });
    router->add(
        "POST", "/large",
        [](const Request& request) { return Response::text(200, std::to_string(request.body.size())); },
        {{}, 1U << 20U});
    router->add("PUT", "/put",
                [](const Request& request) { return Response::octets(200, "", request.body); });
    return router;
}

ServerOptions options() {
    ServerOptions out;
    out.name = "test";
    out.request_deadline = 20s;
    out.response_deadline = 20s;
    out.handshake_deadline = 20s;
    out.idle_timeout = 60s;
    return out;
}

std::unique_ptr<Server> started(ServerOptions with, std::shared_ptr<const Router> router) {
    auto server = std::make_unique<Server>(std::move(with), std::move(router));
    const auto done = server->start();
    if (!done) FAIL(done.error().text);
    return server;
}

void wait_until(const std::function<bool()>& true_now) {
    const auto deadline = deadline_in(20s);
    while (!true_now()) {
        if (std::chrono::steady_clock::now() > deadline) FAIL("waited 20 s in vain");
        std::this_thread::sleep_for(1ms);
    }
}

}  // namespace kokuin::net::test
