// tsad: answers RFC 3161 over HTTP, only while its clock is proved; archives before it answers. This file
// wires.
#include <spdlog/spdlog.h>

#include <CLI/CLI.hpp>
#include <optional>
#include <thread>

#include "base/hook.h"
#include "base/net/server.h"
#include "base/program.h"
#include "base/stop_signal.h"
#include "checkpoint/checkpointer.h"
#include "hsm/custody/commands.h"
#include "hsm/custody/keeper.h"
#include "store/archive.h"
#include "store/event_line.h"
#include "tac/clock/reading.h"
#include "tac/clock/reference_watch.h"
#include "tsa/audit.h"
#include "tsa/backups.h"
#include "tsa/collation.h"
#include "tsa/comparisons.h"
#include "tsa/compromise.h"
#include "tsa/config.h"
#include "tsa/copy_watch.h"
#include "tsa/expiry_desk.h"
#include "tsa/housekeeper.h"
#include "tsa/hsms.h"
#include "tsa/imports_desk.h"
#include "tsa/journal.h"
#include "tsa/key_desk.h"
#include "tsa/key_life.h"
#include "tsa/key_watch.h"
#include "tsa/log_tiles.h"
#include "tsa/programs.h"
#include "tsa/programs_desk.h"
#include "tsa/publication.h"
#include "tsa/published_keys.h"
#include "tsa/refused_tacs.h"
#include "tsa/revocation_watch.h"
#include "tsa/routes.h"
#include "tsa/rules.h"
#include "tsa/sealer.h"
#include "tsa/stamper.h"
#include "tsa/status.h"
#include "tsa/tac_repository.h"

#include "tsa/tsu_load.h"
#include "tsa/tsus.h"
#include "tsa/witnesses.h"

namespace {

using namespace kokuin;

net::ServerOptions listener(const char* name, const config::Endpoint& at, const tsa::HttpSettings& http) {
    net::ServerOptions options;
    options.name = name;
    options.address = at.host;
    options.port = at.port;
    options.request_deadline = http.deadline;
    options.response_deadline = http.deadline;
    options.max_connections_per_address = http.per_address;
    return options;
}

void note(tsa::Journal& journal, const char* kind, const std::string& text) {
    store::Event event;
    event.kind = kind;
    event.text = text;
    (void)journal.keep(std::move(event));
}

/// `keeper`: null, nobody holds the PIN while this process is away.
Done serve(const std::string& config_file, hsm::custody::Keeper* keeper) {
    auto settings = tsa::load_settings(config_file);
    if (!settings) return std::move(settings).error();
    set_log_level(settings->log_level);
    for (const auto& one : settings->hsms) hsm::apply_environment(one);
    net::raise_file_limit();

    const SystemWallClock wall;
    const SystemMonoClock mono;
    const tac::clock::SystemBootClock boot;
    // The stamping clock: CLOCK_REALTIME, or that corrected towards the TAA's time (TAC-5).
    tac::clock::Correction correction(settings->follow_tac.value_or(tac::clock::CorrectionRules{}));
    const tac::clock::CorrectedClock corrected(wall, mono, correction);
    const tac::clock::StampingClock realtime(wall, mono, boot);
    const tac::clock::StampingClock clock(
        settings->follow_tac ? static_cast<const WallClock&>(corrected) : wall, mono, boot);

    tac::Rules rules;
    std::unique_ptr<pki::CrlFiles> crls;
    if (settings->taa && !settings->taa->crls.empty()) {
        auto read = pki::CrlFiles::open(settings->taa->crls);
        if (!read) return std::move(read).error().in("[taa] crls");
        crls = std::move(*read);
    }
    if (settings->taa) {
        auto read = tsa::load_rules(*settings->taa, wall.now());
        if (!read) return std::move(read).error();
        rules = std::move(*read);
    }
    store::ArchiveOptions archive_options;
    if (!settings->copy.empty()) {
        auto copy = tsa::copy_settings(settings->archive, settings->copy, settings->copy_waits);
        if (!copy) return std::move(copy).error();
        archive_options.copy = std::move(*copy);
    }
    auto archive = store::Archive::open(settings->archive, std::move(archive_options));
    if (!archive) return std::move(archive).error();
    if (settings->follow_tac)
        if (auto done = tsa::Follower::restore(**archive, boot.boot_id(), correction); !done) return done;
    std::optional<Hook> hook;
    if (settings->hook) hook.emplace(*settings->hook);
    tsa::Journal journal(**archive, clock, [&hook](WallTime at, const store::Event& event) {
        if (hook && tsa::is_change(event)) hook->tell(store::event_line(at, event));
    });
    auto hsms = tsa::Hsms::open({*settings, journal, mono, keeper});
    if (!hsms) return std::move(hsms).error();
    tsa::Tsus::List loaded;
    auto life = tsa::KeyLife::open(**archive, journal);
    if (!life) return std::move(life).error();
    // What a crash between two records left: the later key is the one that signs.
    for (const auto& one : settings->tsus)
        if (auto done = (*life)->retire_older(one.name); !done) return done;
    for (const auto& one : settings->tsus) {
        const auto token_of = [&](const tsa::KeyEntry* recorded) -> Result<hsm::Token*> {
            const auto of = recorded ? (*hsms)->of(*recorded) : Result((*hsms)->find(one.hsm));
            return of ? Result(&(*of)->token()) : of.error();
        };
        auto tsu = tsa::load_tsu(one, **life, token_of, wall.now());
        if (!tsu) return std::move(tsu).error();
        loaded.push_back(std::move(*tsu));
    }
    tsa::Tsus tsus(std::move(loaded));
    // What an HSM that hung keeps busy looks at the TSUs when it answers.
    const std::unique_ptr<tsa::Hsms, void (*)(tsa::Hsms*)> waited(hsms->get(),
                                                                  [](tsa::Hsms* all) { all->wait(); });
    // And where the configuration names a new one.
    for (const auto& one : settings->tsus)
        if (auto done = (*life)->retire_older(one.name); !done) return done;

    (*hsms)->seat_custodians(tsus);

    tsa::Refusals refusals;
    std::optional<checkpoint::Checkpointer> checkpoints;
    if (const auto& wanted = settings->checkpoints)
        checkpoints.emplace(checkpoint::CheckpointerParts{
            mono, **archive, [&journal](const store::Event& event) { return journal.write(event); },
            [&journal](const store::Event& event) { (void)journal.keep(event); },
            [token = &(*hsms)->find(wanted->hsm)->token()] { return token; }, wanted->key, wanted->within,
            "tsactl key generate " + wanted->key + " --type ed25519 --why TEXT --by NAME",
            "nothing is stamped"});
    const auto* checkpointer = checkpoints ? &*checkpoints : nullptr;
    std::optional<tsa::Witnesses> witnesses;
    if (!settings->witnesses.empty())
        witnesses.emplace(tsa::WitnessesParts{**archive, settings->archive, journal, settings->witnesses,
                                              settings->witness_every,
                                              tsa::submit_over_http(std::chrono::seconds(5))});
    tsa::CopyWatch copy_watch(mono, **archive, journal);
    evidence::Believed believed;
    if (settings->seal) {
        auto read = tsa::load_believed(*settings->seal);
        if (!read) return std::move(read).error();
        believed = std::move(*read);
    }
    tsa::Sealer sealer({clock, **archive, settings->archive, journal, checkpoints ? &*checkpoints : nullptr,
                        settings->seal, std::move(believed),
                        settings->seal ? tsa::ask_over_http(*settings->seal) : tsa::AskForStamp(),
                        [&life](View spki) {
                            const auto id = to_hex(pki::digest(pki::Hash::sha256, spki));
                            const auto keys = (*life)->all();
                            return std::any_of(keys.begin(), keys.end(),
                                               [&id](const auto& one) { return one.spki_sha256 == id; });
                        }});
    tsa::Programs programs({mono, **archive, journal, settings->programs, tsa::files_of(*settings),
                            settings->file, settings->digest});
    tsa::ImportsDesk imports({**archive, journal, **hsms, settings->personal});
    imports.settle();
    tsa::ExpiryDesk expiry({mono, **archive, settings->archive, settings->copy, journal, **hsms,
                            [&] { return tsa::proved_time(clock, tsus, settings->policies); },
                            [&sealer] { sealer.forget(); }});
    tsa::LogTiles tiles(**archive, settings->archive);
    tsa::Stamper stamper({clock, **archive, tsus, refusals, checkpointer, &programs});
    tsa::RefusedTacs refused(journal);
    tsa::TacRepository tacs(**archive);
    tsa::Follower follower(correction, journal, mono, boot.boot_id());
    std::unique_ptr<tsa::RevocationWatch> revocation;
    if (const auto& wanted = settings->revocation) {
        auto made = tsa::RevocationWatch::make(*wanted, clock, tsa::fetch_over_http(wanted->timeout));
        if (!made) return std::move(made).error();
        revocation = std::move(*made);
    }
    tsa::Audited audited({clock, **archive, journal, refused, tacs, tsus, rules, crls.get(),
                          settings->follow_tac ? &follower : nullptr, revocation.get()});
    if (auto done = audited.restore(); !done) return done;
    tsa::Comparisons comparisons({journal, tsus, correction});
    std::optional<tac::clock::ReferenceWatch> reference;
    if (settings->reference) {
        reference.emplace(settings->reference->daemon, settings->reference->rules, realtime,
                          comparisons.listener());
        if (auto done = reference->prepare(); !done) return std::move(done).error().in("[reference]");
    }
    const tac::clock::LeapFile leap_file(settings->leap_seconds);
    tsa::Leaps leaps({leap_file, journal, tsus, reference ? &*reference : nullptr});
    tsa::Status status({clock, **hsms, **archive, tsus, settings->policies, stamper, refusals, keeper, **life,
                        leaps, settings->follow_tac ? &correction : nullptr,
                        reference ? &*reference : nullptr, crls.get(), settings->taa.has_value(),
                        revocation.get(), checkpointer, witnesses ? &*witnesses : nullptr, &sealer,
                        &programs});

    std::unique_ptr<tsa::AuditRequester> requester;
    std::unique_ptr<tsa::AuditRequester> desk_requester;
    if (settings->taa && settings->taa->request)
        for (auto* one : {&requester, &desk_requester}) {
            auto made = tsa::AuditRequester::make(*settings->audit, *settings->taa->request);
            if (!made) return std::move(made).error();
            *one = std::move(*made);
        }
    tsa::KeyDesk desk({clock, **hsms, **life, tsus, settings->tsus, settings->policies, desk_requester.get(),
                       settings->checkpoints, [](nanoseconds time) { std::this_thread::sleep_for(time); }});

    // Listeners. Those for clients come last: whoever can connect may stamp.
    std::vector<std::unique_ptr<net::Server>> servers;
    const auto add = [&](net::ServerOptions options, const std::shared_ptr<net::Router>& router) {
        const auto name = options.name;
        servers.push_back(std::make_unique<net::Server>(std::move(options), router));
        status.watch(name, *servers.back());
    };
    auto control = std::make_shared<net::Router>();
    tsa::add_control_routes(*control, status);
    desk.add_routes(*control);
    tsa::add_backup_route(*control, journal);
    (*hsms)->add_custody_routes(*control);
    sealer.add_routes(*control);
    tsa::add_programs_routes(*control, programs, **hsms);
    imports.add_routes(*control);
    expiry.add_routes(*control);
    net::ServerOptions socket;
    socket.name = "control";
    socket.unix_path = settings->control;
    add(std::move(socket), control);
    if (settings->admin) {
        auto router = std::make_shared<net::Router>();
        tsa::add_health_routes(*router, status);
        add(listener("admin", *settings->admin, settings->http), router);
    }
    if (settings->audit) {
        auto router = std::make_shared<net::Router>();
        tsa::add_audit_routes(*router, audited, settings->audit->peer);
        auto options = listener("audit", settings->audit->tls.listen, settings->http);
        options.tls =
            net::ServerTls{settings->audit->tls.certificate, settings->audit->tls.key, settings->audit->ca};
        add(std::move(options), router);
    }
    const auto stamping = [&](bool with_health) {
        auto router = std::make_shared<net::Router>();
        tsa::add_stamping_routes(*router, stamper, settings->policies);
        tsa::add_repository_routes(*router, tacs);
        tsa::add_log_routes(*router, **archive, tiles);
        tsa::add_collation_routes(*router, {settings->archive, **life, settings->algorithm_ends});
        tsa::add_notice_routes(*router, **life, settings->archive);
        tsa::add_key_routes(*router, **life, settings->archive, settings->policy_document);
        if (!settings->publication.empty()) tsa::add_publication_routes(*router, settings->publication, wall);
        if (with_health) tsa::add_health_routes(*router, status);
        return router;
    };
    // More threads than sessions of the HSM would only wait for one.
    if (settings->https) {
        auto options = listener("https", settings->https->listen, settings->http);
        options.tls = net::ServerTls{settings->https->certificate, settings->https->key, ""};
        options.workers_at_once = (*hsms)->sessions();
        add(std::move(options), stamping(false));
    }
    const auto& host = settings->http.listen.host;
    auto plain = listener("http", settings->http.listen, settings->http);
    plain.workers_at_once = (*hsms)->sessions();
    add(std::move(plain), stamping(net::is_loopback(host)));

    tsa::KeyWatch key_watch(**life, journal);
    if (auto done = key_watch.restore(**archive); !done) return done;
    tsa::Housekeeper housekeeper({clock, journal, tsus, key_watch, **life, settings->policies, refusals,
                                  refused, leaps, crls.get(), requester.get(), keeper,
                                  settings->taa ? settings->taa->request_before : nanoseconds{},
                                  revocation.get(), tsa::path_of_taa(rules, wall.now())});
    // Before the first token: a leap second that only the list knows counts from the start.
    leaps.tell_gates(clock.read());
    // And a TSU that is revoked signs none.
    housekeeper.watch_revocation();
    if (auto done = (*hsms)->open_at_start(); !done) return done;
    // From here on there is something to stop in good order.
    StopSignal ends;
    if (hook) hook->start();
    // Before the first token: what a crash left uncovered.
    if (checkpoints) checkpoints->tick();
    if (checkpoints) checkpoints->start();
    // And what stamps must be whole; by now all that a start loads is loaded.
    if (auto done = programs.begin(); !done) return done;
    for (auto& server : servers)
        if (auto done = server->start(); !done) return done;
    programs.start();
    note(journal, "server.started", "tsad started, configuration " + settings->file);
    housekeeper.start();
    if (revocation) revocation->start();
    tacs.start();
    if (reference) reference->start();
    if (witnesses) witnesses->start();
    copy_watch.start();
    sealer.start();
    expiry.start();
    (*hsms)->say_if_locked();
    spdlog::info("tsad serves http={} archive={}", config::to_text(settings->http.listen), settings->archive);

    spdlog::info("tsad stops: {} (a second signal ends it at once)", ends.wait());
    programs.stop();
    desk.stop();  // a rotation that waits for its TAC would hold up everything
    for (auto server = servers.rbegin(); server != servers.rend(); ++server) (*server)->stop();
    copy_watch.stop();
    sealer.stop();
    expiry.stop();
    if (witnesses) witnesses->stop();
    tacs.stop();
    if (revocation) revocation->stop();
    if (reference) reference->stop();
    comparisons.flush();
    housekeeper.stop();
    note(journal, "server.stopped", "tsad stopped in good order");
    if (checkpoints) checkpoints->stop();
    if (hook) hook->stop();
    if (const auto lost = journal.waiting(); lost > 0)
        return Error::environment(settings->archive + ": " + std::to_string(lost) +
                                  (lost == 1 ? " event" : " events") +
                                  " could not be archived and end with this process (the log above names "
                                  "the cause); mend the archive's disk and look whether the TAA has "
                                  "ordered to stop: such an order was not acknowledged");
    return {};
}

Result<int> run(int argc, char** argv) {
    CLI::App app{"Kokuin's time-stamping server (RFC 3161). Runs in the foreground until SIGTERM."};
    std::string config_file = "tsad.toml";
    app.add_option("--config", config_file, "configuration (see conf/tsad.toml)")->capture_default_str();
    bool keep = false;
    std::optional<int> kept_by;
    hsm::custody::add_keeper_options(app, keep, kept_by);
    const auto go_on = read_command_line("tsad", app, argc, argv);
    if (!go_on) return go_on.error();
    if (!*go_on) return 0;
    if (keep) return hsm::custody::run_with_keeper("tsad", {"--config", config_file});
    std::optional<hsm::custody::Keeper> keeper;
    if (kept_by) keeper.emplace(*kept_by);
    if (auto done = serve(config_file, keeper ? &*keeper : nullptr); !done) return std::move(done).error();
    return 0;
}

}  // namespace

int main(int argc, char** argv) {
    return run_program("tsad", [&] {
        log_to_stderr("tsad");
        return run(argc, argv);
    });
}
