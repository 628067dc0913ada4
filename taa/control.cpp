#include "taa/control.h"

#include <spdlog/spdlog.h>
#include <unistd.h>

#include <nlohmann/json.hpp>
#include <thread>
#include <utility>

#include "base/account.h"
#include "base/json_text.h"
#include "base/net/client.h"
#include "base/net/outcome.h"
#include "base/net/owner.h"
#include "base/text.h"
#include "store/reader.h"
#include "taa/tsus.h"

namespace kokuin::taa {
namespace {

using net::Response;
using nlohmann::json;

constexpr std::size_t largest_order = 8U << 10U;
constexpr nanoseconds patience = seconds(30);
constexpr auto between_tries = milliseconds(100);
constexpr int longest_tries = 30;

/// An order on its way, and whose archive it is for: another taad may listen on the same socket.
struct Sent {
    Admissions::Order order;
    std::string archive;
};

std::optional<Sent> read_order(std::string_view body) {
    const auto value = parse_json(body);
    if (!value.is_object()) return std::nullopt;
    const auto text = [&value](const char* key) { return text_member(value, key); };
    const auto step = step_of(text("step"));
    if (!step) return std::nullopt;
    return Sent{{*step, text("tsu"), text("why"), text("by"), "",
                 Identity{text("certificate"), text("peer"), text("called")}},
                text("archive")};
}

Response answer_to(const net::Request& request, Admissions& admissions,
                   const std::function<void(const std::string&)>& taken) {
    auto sent = read_order(as_text(request.body));
    if (!sent)
        return net::problem(Error::usage("not an order about a TSU; is this taad of the same version?"));
    if (sent->archive != admissions.archive_id())
        return net::problem(Error::usage(
            "the taad that listens there writes another archive; give each its own [control] socket"));
    auto& order = sent->order;
    order.account = account_text(request.peer.process->uid);
    const auto number = admissions.take(order);
    if (!number) return net::problem(number.error());
    spdlog::info("tsu={} step={} account={} by=\"{}\" record={} text=\"{}\"", order.tsu, name(order.step),
                 order.account, order.by, *number, order.why);
    taken(order.tsu);
    return Response::json(200, json_text(json{{"record", *number}}));
}

Result<store::RecordNumber> ask(net::Connection connection, const Settings& settings,
                                const Admissions::Order& order) {
    const auto where = "taad on " + settings.control;
    auto reader = store::ArchiveReader::open(settings.archive);
    if (!reader) return std::move(reader).error();
    net::Call call;
    call.method = "POST";
    call.path = "/tsu";
    call.content_type = "application/json";
    const auto identity = order.identity.value_or(Identity{});
    const auto body = json_text(json{{"archive", (*reader)->id()},
                                     {"step", name(order.step)},
                                     {"tsu", order.tsu},
                                     {"why", order.why},
                                     {"by", order.by},
                                     {"certificate", identity.certificate},
                                     {"peer", identity.peer},
                                     {"called", identity.called}});
    call.body = Bytes(body.begin(), body.end());
    const auto answer = connection.request(call, patience);
    if (!answer)
        return Error::environment(where + " was asked and didn't answer (" + answer.error().text +
                                  "); look with: taad tsu list");
    const auto value = parse_json(as_text(answer->body));
    if (answer->status == 200 && value.is_object() && value.contains("record") &&
        value["record"].is_number_integer())
        return value["record"].get<store::RecordNumber>();
    return net::error_of(*answer, where);
}

}  // namespace

void add_control_routes(net::Router& router, Admissions& admissions,
                        std::function<void(const std::string& tsu)> taken) {
    router.add("POST", "/tsu",
               net::for_owner("taad",
                              [&admissions, taken = std::move(taken)](const net::Request& request) {
                                  return answer_to(request, admissions, taken);
                              }),
               {{"application/json"}, largest_order});
}

Result<store::RecordNumber> order_step(const Settings& settings, Admissions::Order order,
                                       const WallClock& wall) {
    if (auto done = check_why_and_by(order.why, order.by); !done) return std::move(done).error();
    const auto tsus = load_tsus(settings);
    // Another one's file that can't be read doesn't keep anybody from suspending this one.
    if (!tsus && (order.step == Step::admit || order.step == Step::review)) return tsus.error();
    if (tsus)
        for (const auto& tsu : *tsus)
            if (tsu.settings.name == order.tsu) order.identity = identity_of(tsu.settings, tsu.certificate);
    net::ClientOptions options;
    options.unix_path = settings.control;
    auto client = net::Client::make(std::move(options));
    if (!client) return std::move(client).error();
    // A taad that starts or ends has the archive already, or still, and no socket: it is waited for.
    for (int tries = 0;; ++tries) {
        // Once it has been asked, only its answer counts: it must not be done twice.
        if (auto connection = client->connect(patience)) return ask(std::move(*connection), settings, order);
        auto archive = store::Archive::open(settings.archive);
        if (!archive && archive.error().kind == Error::Kind::environment && tries < longest_tries) {
            std::this_thread::sleep_for(between_tries);
            continue;
        }
        if (!archive) return std::move(archive).error();
        if (!tsus) return tsus.error();
        auto admissions = Admissions::open(**archive, wall, *tsus);
        if (!admissions) return std::move(admissions).error();
        order.account = account_text(::geteuid());
        return (*admissions)->take(order);
    }
}

}  // namespace kokuin::taa
