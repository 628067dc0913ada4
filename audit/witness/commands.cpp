#include "audit/witness/commands.h"

#include <spdlog/spdlog.h>

#include <csignal>
#include <memory>
#include <ostream>
#include <utility>

#include "audit/witness/cosigner.h"
#include "audit/witness/visit.h"
#include "base/config.h"
#include "base/json_text.h"
#include "base/net/client.h"
#include "base/net/router.h"
#include "base/net/server.h"
#include "base/program.h"
#include "base/secret.h"
#include "base/stop_signal.h"
#include "store/tlog/add_checkpoint.h"

namespace kokuin::audit::witness {
namespace {

/// For one answer of a log; a visit takes a few.
constexpr nanoseconds patience = seconds(10);

Result<std::vector<tlog::VerifierKey>> read_logs(const std::vector<std::string>& texts) {
    std::vector<tlog::VerifierKey> logs;
    for (const std::string& text : texts) {
        auto key = tlog::VerifierKey::parse(text);
        if (!key) return std::move(key).error().in("--log");
        if (key->type() != tlog::VerifierKey::Type::ed25519)
            return Error::usage("--log: the key of '" + key->name() + "' is a witness's: give that of a log");
        logs.push_back(std::move(*key));
    }
    return logs;
}

Result<std::unique_ptr<Cosigner>> open(const Arguments& arguments, const WallClock& wall) {
    auto logs = read_logs(arguments.logs);
    if (!logs) return logs.error();
    auto key = Key::load(arguments.key);
    if (!key) return key.error();
    auto state = State::open(arguments.state);
    if (!state) return state.error();
    return std::make_unique<Cosigner>(std::move(*key), std::move(*logs), std::move(*state), wall);
}

}  // namespace

Done init(const Arguments& arguments, std::ostream& out) {
    forbid_core_dumps();
    const auto key = Key::create(arguments.key, arguments.name);
    if (!key) return key.error();
    if (arguments.json)
        out << json_text(nlohmann::ordered_json{{"key", arguments.key}, {"verifier", key->verifier().text()}})
            << '\n';
    else
        out << key->verifier().text() << '\n';
    return {};
}

Done serve(const Arguments& arguments) {
    forbid_core_dumps();
    (void)std::signal(SIGPIPE, SIG_IGN);  // a log that hangs up must not end the witness
    auto at = config::parse_endpoint(arguments.listen);
    if (!at) return std::move(at).error().in("--listen");
    if (!arguments.beyond_loopback && !net::is_loopback(at->host))
        return Error::usage("--listen: plain HTTP to other machines needs --beyond-loopback");
    const SystemWallClock wall;
    auto cosigner = open(arguments, wall);
    if (!cosigner) return cosigner.error();

    log_to_stderr("tsaudit");
    auto router = std::make_shared<net::Router>();
    router->add("POST", "/add-checkpoint",
                [&cosigner](const net::Request& request) {
                    const auto answer = (*cosigner)->add_checkpoint(as_text(request.body));
                    const auto body = as_view(answer.body);
                    return net::Response::octets(answer.status, answer.content_type,
                                                 Bytes(body.begin(), body.end()));
                },
                {{}, tlog::AddCheckpoint::largest});
    net::ServerOptions options;
    options.name = "witness";
    options.address = at->host;
    options.port = at->port;
    net::Server server(std::move(options), router);
    StopSignal ends;
    if (auto done = server.start(); !done) return done;
    spdlog::info("witness {} listens on {}", (*cosigner)->key().verifier().text(), config::to_text(*at));
    spdlog::info("witness stops: {}", ends.wait());
    server.stop();
    return {};
}

Done visit_once(const Arguments& arguments, std::ostream& out, std::ostream& err) {
    forbid_core_dumps();
    (void)std::signal(SIGPIPE, SIG_IGN);
    const auto logs = read_logs(arguments.logs);
    if (!logs) return logs.error();
    auto url = net::parse_url(arguments.url);
    if (!url) return std::move(url).error().in("--url");
    if (url->https)
        return Error::usage(
            "--url: https isn't spoken here: give http://HOST:PORT/repository (what it serves is "
            "signed)");
    const SystemWallClock wall;
    auto cosigner = open(arguments, wall);
    if (!cosigner) return cosigner.error();
    net::ClientOptions options;
    options.host = url->host;
    options.port = url->port;
    const auto client = net::Client::make(std::move(options));
    if (!client) return client.error();
    const std::string prefix = url->path.ends_with('/') ? url->path : url->path + "/";
    const auto note = visit(**cosigner, logs->front(), [&](const std::string& path) {
        net::Call call;
        call.path = prefix + path;
        return client->request(call, patience);
    });
    if (!note) return note.error();
    if (const auto files = (*cosigner)->evidence(logs->front().name()); !files.empty()) {
        std::string list;
        for (const auto& file : files) list += (list.empty() ? "" : ", ") + file;
        err << "witness: THIS LOG HAS CONTRADICTED ITSELF BEFORE: " << list
            << "; take them away when everybody concerned knows them\n";
    }
    if (arguments.json) {
        const auto checkpoint = tlog::Checkpoint::parse(note->text);
        const auto checked = tlog::check(*note, (*cosigner)->key().verifier());
        out << json_text(nlohmann::ordered_json{{"origin", checkpoint->origin},
                                                {"size", checkpoint->head.size},
                                                {"root", to_hex(checkpoint->head.root)},
                                                {"at", checked.time},
                                                {"note", note->write()}})
            << '\n';
    } else {
        out << note->write();
    }
    return {};
}

}  // namespace kokuin::audit::witness
