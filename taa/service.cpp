#include "taa/service.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <random>
#include <utility>

#include "base/text.h"
#include "taa/requests.h"

namespace kokuin::taa {
namespace {

constexpr nanoseconds time_for_the_first_proof = seconds(20);
constexpr nanoseconds day = std::chrono::hours(24);
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

std::vector<ConfiguredTsu> reported(const std::vector<AuditedTsu>& tsus) {
    std::vector<ConfiguredTsu> out;
    for (const auto& tsu : tsus) out.push_back({tsu.settings.name, tsu.settings.tsa, tsu.certificate});
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
                 store::Archive& archive, Clocks clocks, const tac::clock::StampingClock& clock,
                 std::function<void()> on_doubt)
    : issuer_(std::move(issuer)),
      tsus_(std::move(tsus)),
      archive_(archive),
      clocks_(clocks),
      on_doubt_(std::move(on_doubt)),
      leaps_(settings.leap_seconds),
      own_(settings.reference ? std::optional<OwnClock>(std::in_place, clock, settings.own_limit)
                              : std::nullopt),
      auditor_({settings.samples, settings.measurements, settings.deadline}, issuer_, archive_, clocks_,
               own_ ? &*own_ : nullptr, &leaps_),
      desk_(settings.archive, settings.reports, reported(tsus_), archive_, clocks_.wall),
      scheduler_(
          settings.pace, names(tsus_), clocks_.mono,
          [this](const std::string& name, bool requested) { return audit(name, requested); }, dice),
      server_(server_options(settings),
              router(settings, [this](const std::string& tsu) { return scheduler_.request(tsu); })) {
    if (settings.reference)
        reference_.emplace(settings.reference->daemon, settings.reference->rules, clock, listener());
}

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
    desk_.start();
    if (!own_) {
        auditing_ = true;
        scheduler_.start();
        spdlog::warn(
            "clock text=\"nobody watches this TAA's clock (unwatched = true, TAA-4): its accuracy is its "
            "operator's word\"");
        return {};
    }
    if (auto done = reference_->prepare(); !done) {
        stop();
        return std::move(done).error().in("[reference]");
    }
    patience_until_ = clocks_.mono.now() + time_for_the_first_proof;
    reference_->start();
    return {};
}

void Service::record(const char* kind, const std::string& text,
                     const std::map<std::string, std::int64_t>& fields) {
    store::Event event;
    event.kind = kind;
    event.text = one_line(text, 4000);
    for (const auto& [key, value] : fields) event.fields.emplace(key, value);
    const auto number = archive_.append(clocks_.wall.now(), event);
    if (!number) spdlog::error("archive text=\"{} isn't recorded: {}\"", kind, number.error().text);
}

tac::clock::ReferenceWatch::Listener Service::listener() {
    using State = tac::clock::Reference::State;
    return {[this](const tac::clock::Evidence& evidence) {
                const bool missed = own_->take(evidence) == tac::clock::ErrorBound::Added::misses;
                if (missed) {
                    spdlog::warn("reference text=\"missed what was predicted: the rate is learnt anew\"");
                    record("reference.missed", evidence.note, {});
                }
                if (comparison_.add(evidence)) record_comparison();
                return missed;
            },
            [this](State state, const std::string& text) {
                const bool calm = state == State::good || state == State::starting;
                spdlog::log(calm ? spdlog::level::info : spdlog::level::warn,
                            "reference state={} text=\"{}\"", tac::clock::name(state), text);
                record(("reference." + std::string(tac::clock::name(state))).c_str(), text, {});
            },
            [this](const std::string& text) {
                spdlog::warn("reference text=\"{}\"", text);
                record("reference.reset", text, {});
            },
            [this] { watch_own_clock(); }};
}

void Service::record_comparison() {
    if (const auto compared = comparison_.take())
        record("reference.compared", compared->text, compared->fields);
}

void Service::watch_own_clock() {
    const auto now = clocks_.wall.now();
    if (const auto list = leaps_.read(clocks_.mono.now()))
        for (const auto& leap : (*list)->between(now - day, now + day)) own_->announce(leap);
    const auto standing = own_->look();
    // What isn't known yet, right after the start, isn't a fault to tell the world.
    if (!auditing_ && !standing.proved && clocks_.mono.now() < *patience_until_) return;
    if (own_proved_ != standing.proved) {
        own_proved_ = standing.proved;
        spdlog::log(standing.proved ? spdlog::level::info : spdlog::level::err, "clock {} text=\"{}\"",
                    standing.proved ? "proved" : "unproved", standing.text);
        std::map<std::string, std::int64_t> fields;
        if (standing.proved) fields["own_bound_us"] = standing.bound_us;
        record(standing.proved ? "clock.proved" : "clock.unproved", standing.text, fields);
        // The audit tells each TSU, or makes up for those that couldn't be.
        if (auditing_)
            for (const auto& tsu : tsus_) (void)scheduler_.request(tsu.settings.name);
    }
    if (!auditing_) {
        auditing_ = true;
        scheduler_.start();
    }
}

void Service::stop() {
    if (!std::exchange(started_, false)) return;
    server_.stop();
    if (reference_) reference_->stop();
    scheduler_.stop();
    desk_.stop();
    record_comparison();
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
