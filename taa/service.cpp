#include "taa/service.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <random>
#include <utility>

#include "base/text.h"
#include "hsm/custody/desk.h"
#include "taa/control.h"
#include "taa/requests.h"

namespace kokuin::taa {
namespace {

constexpr nanoseconds month = std::chrono::hours(24 * 31);

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

net::ServerOptions control_options(const Settings& settings) {
    net::ServerOptions options;
    options.name = "control";
    options.unix_path = settings.control;
    options.max_connections = 16;
    options.max_threads = 4;
    return options;
}

template <typename Add>
std::shared_ptr<const net::Router> router(Add add) {
    auto made = std::make_shared<net::Router>();
    add(*made);
    return made;
}

double dice() {
    // Spreads load, keeps no secret.
    thread_local std::minstd_rand engine{std::random_device{}()};
    return std::uniform_real_distribution<double>(0.0, 1.0)(engine);
}

}  // namespace

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
    // Said at the start; then it is nobody's news at every turn.
    if (report.outcome == Outcome::not_admitted && !report.record) level = spdlog::level::debug;
    if (report.outcome == Outcome::not_signed || report.outcome == Outcome::not_recorded ||
        report.outcome == Outcome::stop)
        level = spdlog::level::err;
    else if (report.ending() != Ending::settled || (report.outcome == Outcome::not_admitted && report.record))
        level = spdlog::level::warn;
    spdlog::log(level, "{}", report.log_line());
}

Service::Service(const Settings& settings, Issuer issuer, std::vector<AuditedTsu> tsus, Parts parts,
                 std::function<void()> on_doubt)
    : settings_(settings),
      issuer_(std::move(issuer)),
      tsus_(std::move(tsus)),
      parts_(std::move(parts)),
      on_doubt_(std::move(on_doubt)),
      leaps_(settings.leap_seconds),
      watch_(settings.reference
                 ? std::optional<ClockWatch>(
                       std::in_place, *settings.reference, settings.own_limit, parts_.clock, parts_.clocks,
                       leaps_, parts_.diary,
                       // The audit tells each TSU, or makes up for those that couldn't be.
                       ClockWatch::Listener{[this] { scheduler_.start(); }, [this] { audit_all(); }})
                 : std::nullopt),
      health_(settings.unreachable_after),
      auditor_({settings.samples, settings.measurements, settings.deadline}, issuer_, parts_.archive,
               parts_.admissions, parts_.clocks, watch_ ? &watch_->own() : nullptr, &leaps_,
               parts_.held_back),
      desk_(settings.archive, settings.reports, reported(tsus_), parts_.archive, parts_.clocks.wall),
      scheduler_(
          settings.pace, names(tsus_), parts_.clocks.mono,
          [this](const std::string& name, bool requested) { return audit(name, requested); }, dice),
      server_(server_options(settings), router([this](net::Router& router) {
                  add_request_route(
                      router, settings_.tsus, settings_.pace,
                      [this](const std::string& tsu, View certificate) {
                          return parts_.admissions.refusal(
                              tsu,
                              certificate.empty() ? Bytes() : pki::digest(pki::Hash::sha256, certificate));
                      },
                      [this](const TsuSettings& tsu, View certificate) { return show(tsu, certificate); },
                      [this](const std::string& tsu) { return scheduler_.request(tsu); });
                  add_notice_route(router, settings_.tsus,
                                   [this](const TsuSettings& tsu, View certificate, const std::string& text) {
                                       return compromised(tsu, certificate, text);
                                   });
              })),
      control_(control_options(settings), router([this](net::Router& router) {
                   add_control_routes(router, parts_.admissions,
                                      [this](const std::string& tsu) { scheduler_.bring_forward(tsu); });
                   if (!parts_.custody) return;
                   hsm::custody::add_custody_routes(router, "/custody", "taad", *parts_.custody,
                                                    *parts_.approvals);
                   hsm::custody::add_key_routes(
                       router, "taad", *parts_.token, hsm::keytool::Purpose::plain,
                       [this](const store::Event& event, const std::vector<store::Blob>& blobs) {
                           return parts_.diary.announce(event, blobs);
                       });
               })) {}

Service::~Service() {
    stop();
}

Done Service::start() {
    // Listening first: a second taad on the same port writes nothing and audits nobody.
    if (auto done = server_.start(); !done) return done;
    if (auto done = control_.start(); !done) {
        server_.stop();
        return done;
    }
    store::Event event;
    event.kind = "taa.started";
    event.text = "taad started";
    event.fields["certificate"] = to_hex(issuer_.certificate().sha256());
    event.fields["tsus"] = static_cast<std::int64_t>(tsus_.size());
    if (auto done = parts_.diary.announce(event); !done) {
        server_.stop();
        control_.stop();
        return done;
    }
    started_ = true;
    for (const auto& tsu : tsus_)
        if (auto done = health_.restore(parts_.archive, tsu.settings.name); !done) {
            stop();
            return done;
        }
    for (const auto& tsu : tsus_)
        if (const auto refusal = parts_.admissions.refusal(tsu.settings.name))
            spdlog::warn("tsu={} text=\"isn't served: {}\"", tsu.settings.name, *refusal);
    for (const auto& overdue : parts_.admissions.overdue(settings_.review_within))
        spdlog::warn("tsu={} text=\"{}\"", overdue.tsu, overdue.text);
    desk_.start();
    if (watch_) {
        if (auto done = watch_->start(); !done) {
            stop();
            return done;
        }
        return {};
    }
    spdlog::warn(
        "clock text=\"nobody watches this TAA's clock (unwatched = true, TAA-4): its accuracy is its "
        "operator's word\"");
    scheduler_.start();
    return {};
}

void Service::audit_all() {
    for (const auto& tsu : tsus_) scheduler_.bring_forward(tsu.settings.name, true);
}

void Service::stop() {
    if (!std::exchange(started_, false)) return;
    server_.stop();
    control_.stop();
    if (watch_) watch_->stop();
    scheduler_.stop();
    desk_.stop();
    store::Event event;
    event.kind = "taa.stopped";
    event.text = "taad stopped in good order";
    (void)parts_.diary.announce(event);  // the log has it
}

Ending Service::audit(const std::string& name, bool requested) {
    const auto tsu = std::find_if(tsus_.begin(), tsus_.end(), [&](const AuditedTsu& candidate) {
        return candidate.settings.name == name;
    });
    // Whoever is served now: perhaps a successor of the one that the configuration names.
    auto served = *tsu;
    served.certificate = parts_.admissions.certificate(name);
    const auto next = successors_.take(name);
    if (next) {
        served.certificate = *next;
        served.says_which = true;
    }
    const auto report = auditor_.audit(served, requested ? Cause::request : Cause::schedule);
    note(report);
    if (next) remember(*tsu, *next, report);
    if (!next && report.outcome == Outcome::other_certificate && report.sample) follow(name, *report.sample);
    return report.ending();
}

Done Service::show(const TsuSettings& tsu, View certificate) {
    const auto digest = pki::digest(pki::Hash::sha256, certificate);
    if (parts_.admissions.is_predecessor(tsu.name, digest))
        return Error::no("that certificate has a successor already; a key that was replaced signs no more");
    for (const auto& other : tsus_)
        if (other.settings.name != tsu.name &&
            equal(parts_.admissions.certificate(other.settings.name).der(), certificate))
            return Error::no("that certificate is another TSU's");
    return successors_.show(tsu, parts_.admissions.certificate(tsu.name), certificate,
                            parts_.clocks.wall.now());
}

Done Service::compromised(const TsuSettings& tsu, View certificate_sha256, const std::string& text) {
    const auto is_new = parts_.admissions.compromised(tsu.name, certificate_sha256, text);
    if (!is_new) return is_new.error();
    if (!*is_new) return {};
    store::Event event;  // recorded already; for those who must act
    event.kind = "tsu.compromised";
    event.subject = tsu.name;
    event.text = one_line(text, 1000);
    event.fields["certificate"] = to_hex(certificate_sha256);
    spdlog::critical("tsu={} event=compromised certificate={} text=\"{}\"", tsu.name,
                     to_hex(certificate_sha256), event.text);
    parts_.diary.tell(event);
    return {};
}

void Service::remember(const AuditedTsu& tsu, const pki::Certificate& next, const Report& report) {
    const bool taken = report.verdict && report.verdict->kind == tac::DeliveryVerdict::Kind::accepted &&
                       report.outcome == Outcome::good;
    if (!taken) return;  // it asks again
    const auto& name = tsu.settings.name;
    const auto is_new = parts_.admissions.audited_successor(name, next);
    if (!is_new) {
        spdlog::error("tsu={} text=\"its successor isn't recorded: {}\"", name, is_new.error().text);
        return;
    }
    if (*is_new)
        spdlog::info("tsu={} event=successor certificate={}", name, to_hex(next.sha256()));
    else
        scheduler_.bring_forward(name);  // it asks again: which one does it sign with now?
}

void Service::follow(const std::string& name, const Sample& sample) {
    const auto done = parts_.admissions.succeed(name, sample.certificate_sha256);
    if (!done) {
        spdlog::error("tsu={} text=\"its successor isn't recorded: {}\"", name, done.error().text);
        return;
    }
    if (!*done) return;
    spdlog::warn(
        "tsu={} event=succeeded certificate={} text=\"it signs with its successor; put that certificate into "
        "the "
        "configuration when convenient\"",
        name, to_hex(sample.certificate_sha256));
    scheduler_.bring_forward(name);
}

void Service::note(const Report& report) {
    log(report);
    if (const auto news = health_.take(report, parts_.clocks.mono.now())) {
        spdlog::log(news->kind == Health::fine ? spdlog::level::info : spdlog::level::err,
                    "{} tsu={} text=\"{}\"", news->kind, news->subject, news->text);
        (void)parts_.diary.announce(*news);
    }
    if (const auto doubt = parts_.archive.in_doubt()) {
        spdlog::critical("archive text=\"{}\"", *doubt);
        on_doubt_();
    }
}

}  // namespace kokuin::taa
