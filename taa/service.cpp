#include "taa/service.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <random>
#include <utility>

#include "taa/requests.h"

namespace kokuin::taa {
namespace {

constexpr nanoseconds month = std::chrono::hours(24 * 31);

net::ClientOptions client_options(const Settings& settings, const TsuSettings& tsu) {
    net::ClientOptions options;
    options.host = tsu.audit.host;
    options.port = tsu.audit.port;
    options.tls =
        net::ClientTls{settings.channel.ca, tsu.peer, settings.channel.certificate, settings.channel.key};
    options.max_response = tac::max_body;
    return options;
}

net::ServerOptions server_options(const Settings& settings) {
    net::ServerOptions options;
    options.name = "channel";
    options.address = settings.channel.listen.host;
    options.port = settings.channel.listen.port;
    options.tls = net::ServerTls{settings.channel.certificate, settings.channel.key, settings.channel.ca};
    // TSUs ask now and then; this listener needs no crowd.
    options.max_connections = 256;
    options.max_connections_per_address = 16;
    options.max_threads = 32;
    return options;
}

std::vector<std::string> names(const std::vector<AuditedTsu>& tsus) {
    std::vector<std::string> out;
    for (const auto& tsu : tsus) out.push_back(tsu.settings.name);
    return out;
}

std::shared_ptr<const net::Router> router(const Settings& settings, Ask ask) {
    auto made = std::make_shared<net::Router>();
    add_request_route(*made, settings.tsus, settings.pace, std::move(ask));
    return made;
}

double dice() {
    // Spreads load, keeps no secret.
    thread_local std::minstd_rand engine{std::random_device{}()};
    return std::uniform_real_distribution<double>(0.0, 1.0)(engine);
}

}  // namespace

Result<std::vector<AuditedTsu>> load_tsus(const Settings& settings) {
    std::vector<AuditedTsu> tsus;
    for (const auto& tsu : settings.tsus) {
        const auto where = "[tsu." + tsu.name + "]";
        auto certificates = pki::load_certificates(tsu.certificate);
        if (!certificates) return Error::usage(where + " certificate: " + certificates.error().text);
        if (!certificates->front().is_time_stamping_only())
            return Error::usage(
                where + " certificate: " + tsu.certificate +
                ": not a TSU's (no critical extended key usage timeStamping alone, RFC 3161 2.3); name "
                "the certificate it signs tokens with");
        auto client = net::Client::make(client_options(settings, tsu));
        if (!client) return Error::usage(where + ": " + client.error().text);
        tsus.push_back({tsu, certificates->front(), std::move(*client)});
    }
    return tsus;
}

Result<std::vector<pki::Certificate>> load_chain(const Settings& settings, WallTime now) {
    auto chain = pki::load_certificates(settings.certificate);
    if (!chain) return Error::usage("[taa] certificate: " + chain.error().text);
    const auto& own = chain->front();
    if (own.not_after() < now + month)
        spdlog::warn("taa certificate=\"{}\" not_after={} text=\"ends within a month: renew it\"",
                     own.subject_text(), to_rfc3339(own.not_after(), 0));
    return chain;
}

void log(const Report& report) {
    auto level = spdlog::level::info;
    if (report.outcome == Outcome::not_signed || report.outcome == Outcome::not_recorded ||
        report.outcome == Outcome::stop)
        level = spdlog::level::err;
    else if (report.ending() != Ending::settled)
        level = spdlog::level::warn;
    spdlog::log(level, "{}", report.log_line());
}

Service::Service(const Settings& settings, Issuer issuer, std::vector<AuditedTsu> tsus,
                 store::Archive& archive, Clocks clocks, std::function<void()> on_doubt)
    : issuer_(std::move(issuer)),
      tsus_(std::move(tsus)),
      archive_(archive),
      clocks_(clocks),
      on_doubt_(std::move(on_doubt)),
      auditor_({settings.samples, settings.measurements, settings.deadline}, issuer_, archive_, clocks_),
      scheduler_(
          settings.pace, names(tsus_), clocks_.mono,
          [this](const std::string& name, bool requested) { return audit(name, requested); }, dice),
      server_(server_options(settings),
              router(settings, [this](const std::string& tsu) { return scheduler_.request(tsu); })) {}

Service::~Service() {
    stop();
}

Done Service::start() {
    // Listening first: a second taad on the same port writes nothing and audits nobody.
    if (auto done = server_.start(); !done) return done;
    store::Event event;
    event.kind = "taa.started";
    event.text = "taad started";
    event.fields["certificate"] = to_hex(issuer_.certificate().sha256());
    event.fields["tsus"] = static_cast<std::int64_t>(tsus_.size());
    auto number = archive_.append(clocks_.wall.now(), event);
    if (!number) {
        server_.stop();
        return std::move(number).error();
    }
    started_ = true;
    scheduler_.start();
    return {};
}

void Service::stop() {
    if (!std::exchange(started_, false)) return;
    server_.stop();
    scheduler_.stop();
    store::Event event;
    event.kind = "taa.stopped";
    event.text = "taad stopped in good order";
    const auto number = archive_.append(clocks_.wall.now(), event);
    if (!number) spdlog::error("archive text=\"the stop isn't recorded: {}\"", number.error().text);
}

Ending Service::audit(const std::string& name, bool requested) {
    const auto tsu = std::find_if(tsus_.begin(), tsus_.end(), [&](const AuditedTsu& candidate) {
        return candidate.settings.name == name;
    });
    const auto report = auditor_.audit(*tsu, requested ? Cause::request : Cause::schedule);
    log(report);
    if (const auto doubt = archive_.in_doubt()) {
        spdlog::critical("archive text=\"{}\"", *doubt);
        on_doubt_();
    }
    return report.ending();
}

}  // namespace kokuin::taa
