// taad: the time assessment authority. Measures the clocks of TSUs, issues TACs and orders to stop. This file
// wires.
#include <spdlog/spdlog.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <functional>
#include <iostream>
#include <map>
#include <mutex>
#include <nlohmann/json.hpp>
#include <thread>

#include "base/json_text.h"
#include "base/program.h"
#include "base/stop_signal.h"
#include "checkpoint/checkpointer.h"
#include "hsm/commands.h"
#include "hsm/custody/commands.h"
#include "hsm/custody/desk.h"
#include "hsm/custody/keeper.h"
#include "hsm/custody/records.h"
#include "store/archive.h"
#include "taa/config.h"
#include "taa/report_command.h"
#include "taa/service.h"
#include "taa/signer.h"
#include "taa/tsu_command.h"

namespace {

using namespace kokuin;

struct Arguments {
    std::string config = "taad.toml";
    bool json = false;
    hsm::KeyArguments key;
    hsm::custody::Arguments custody;
    taa::TsuArguments tsu;
    taa::ReportArguments report;
};

/// What `serve` and `audit now` share; the members are made in this order and live as long as it.
struct House {
    SystemWallClock wall;
    SystemMonoClock mono;
    tac::clock::SystemBootClock boot;
    tac::clock::StampingClock clock{wall, mono, boot};
    std::unique_ptr<store::Archive> archive;
    std::unique_ptr<taa::Signer> signer;
    std::optional<taa::Issuer> issuer;
    std::vector<taa::AuditedTsu> tsus;
    std::unique_ptr<taa::Admissions> admissions;
    std::optional<taa::Diary> diary;
    std::optional<hsm::custody::Activation> custody;      ///< nothing where a pin_file has the PIN
    std::optional<hsm::custody::Approvals> approvals;     ///< likewise
    std::optional<checkpoint::Checkpointer> checkpoints;  ///< nothing: nobody signs any

    /// Why no TAC may leave now, or nothing.
    [[nodiscard]] std::optional<std::string> held_back() const {
        return checkpoints ? checkpoints->overdue() : std::nullopt;
    }
};

/// Who signs the archive's tree. What was recorded while nobody was here is signed for at once, if it can be.
void seat_checkpointer(House& house, const taa::Settings& settings) {
    if (!settings.checkpoints) {
        spdlog::warn(
            "archive text=\"nobody signs checkpoints over it ([archive] key, TAA-8): nobody can tell what "
            "its operators change in it\"");
        return;
    }
    house.checkpoints.emplace(checkpoint::CheckpointerParts{
        house.mono, *house.archive,
        [&house](const store::Event& event) {
            auto done = house.diary->record(event);
            if (done) house.diary->tell(event);
            return done;
        },
        [&house](const store::Event& event) { (void)house.diary->announce(event); },
        [&house]() -> Result<hsm::Token*> {
            if (auto done = house.signer->open(); !done) return std::move(done).error();
            return house.signer->token();
        },
        settings.checkpoints->key, settings.checkpoints->within,
        "taad key generate " + settings.checkpoints->key + " --type ed25519", "no TAC is issued"});
    house.checkpoints->tick();
}

/// The custodians' side, if they hold the PIN; the token is locked until they come.
Done seat_custodians(House& house, const taa::Settings& settings, hsm::custody::Keeper* keeper) {
    if (!settings.hsm.pin_file.empty()) return {};
    auto rosters = hsm::custody::read_rosters(settings.archive, settings.hsm.token);
    if (!rosters) return std::move(rosters).error();
    if (!rosters->in_force)
        return Error::usage(
            "[hsm] token '" + settings.hsm.token +
            "': nobody holds its PIN; hold a ceremony (taad ceremony init), or give a pin_file");
    const auto record = [&house](const store::Event& event, const std::vector<store::Blob>& blobs) {
        return house.diary->announce(event, blobs);
    };
    const auto label = settings.hsm.token;
    house.custody.emplace(
        std::move(*rosters->in_force),
        hsm::custody::Activation::Parts{"taad", settings.digest,
                                        [&house, keeper, label](const Secret& pin) {
                                            auto done = house.signer->unlock(pin);
                                            hsm::custody::tell_keeper(keeper, label, done, pin);
                                            return done;
                                        },
                                        [&house, keeper, label] {
                                            if (keeper) keeper->forget(label);
                                            house.signer->token()->lock();
                                        },
                                        record,
                                        [&house, keeper, label](const hsm::PinChange& change) {
                                            auto* const token = house.signer->token();
                                            auto done = token ? token->change_pins(change)
                                                              : Error::no("the HSM can't be reached");
                                            hsm::custody::tell_keeper(keeper, label, done, change);
                                            return done;
                                        }},
        std::move(rosters->next));
    house.approvals.emplace([&house] { return house.custody->roster(); },
                            hsm::custody::Approvals::Parts{"taad", settings.digest, house.mono, record});
    auto done =
        hsm::custody::open_at_start(*house.custody, keeper, settings.archive, settings.hsm.unattended);
    if (keeper && done) keeper->forget_the_rest();
    return done;
}

/// `hook`: null, nobody is told. `keeper`: null, nobody holds the PIN while this process is away.
Done furnish(House& house, const taa::Settings& settings, Hook* hook, hsm::custody::Keeper* keeper) {
    auto chain = taa::load_chain(settings, house.wall.now());
    if (!chain) return std::move(chain).error();
    house.signer = std::make_unique<taa::Signer>(settings.hsm, settings.key, chain->front());
    auto issuer = taa::Issuer::make(
        std::move(*chain), settings.signature,
        [&signer = *house.signer](pki::Hash hash, View message) { return signer.sign(hash, message); });
    if (!issuer) return std::move(issuer).error().in(settings.certificate);
    house.issuer.emplace(std::move(*issuer));
    auto tsus = taa::load_tsus(settings);
    if (!tsus) return std::move(tsus).error();
    house.tsus = std::move(*tsus);
    // An operator's step (taad tsu …) has it for a moment.
    auto archive = store::Archive::open(settings.archive);
    for (int tries = 0; tries < 20 && !archive && archive.error().kind == Error::Kind::environment; ++tries) {
        std::this_thread::sleep_for(milliseconds(100));
        archive = store::Archive::open(settings.archive);
    }
    if (!archive) return std::move(archive).error();
    house.archive = std::move(*archive);
    auto admissions = taa::Admissions::open(*house.archive, house.wall, house.tsus);
    if (!admissions) return std::move(admissions).error();
    house.admissions = std::move(*admissions);
    // A wrong PIN or module path is a mistake to mend now; an HSM that is only away comes back by itself.
    if (auto done = house.signer->open(); !done) {
        if (done.error().kind == Error::Kind::usage || settings.hsm.pin_file.empty()) return done;
        spdlog::error("hsm text=\"{}; no TAC until it is back\"", done.error().text);
    }
    house.diary.emplace(*house.archive, house.wall, hook);
    if (auto done = seat_custodians(house, settings, keeper); !done) return done;
    seat_checkpointer(house, settings);
    return {};
}

Result<int> serve(const taa::Settings& settings, hsm::custody::Keeper* keeper) {
    set_log_level(settings.log_level);
    hsm::apply_environment(settings.hsm);  // before there are threads

    std::optional<Hook> hook;
    House house;
    if (settings.hook) hook.emplace(*settings.hook);
    if (auto done = furnish(house, settings, hook ? &*hook : nullptr, keeper); !done)
        return std::move(done).error();
    std::atomic<bool> doubt{false};
    taa::Service service(settings, std::move(*house.issuer), std::move(house.tsus),
                         {*house.archive,
                          *house.admissions,
                          *house.diary,
                          {house.wall, house.mono},
                          house.clock,
                          house.custody ? &*house.custody : nullptr,
                          house.approvals ? &*house.approvals : nullptr,
                          house.custody ? house.signer->token() : nullptr,
                          [&house] { return house.held_back(); }},
                         [&doubt] {
                             doubt = true;
                             StopSignal::stop();
                         });
    // From here on there is something to stop in good order.
    StopSignal ends;
    if (hook) hook->start();
    if (house.checkpoints) house.checkpoints->start();
    if (auto done = service.start(); !done) return std::move(done).error();
    if (house.custody) hsm::custody::say_if_locked(*house.custody);
    spdlog::info("taad channel={} tsus={} archive={} interval={}", config::to_text(settings.channel.listen),
                 settings.tsus.size(), settings.archive, config::to_text(settings.pace.interval));

    spdlog::info("taad stops text=\"{}\" (a second signal ends it at once)", ends.wait());
    service.stop();
    if (house.checkpoints) house.checkpoints->stop();
    if (hook) hook->stop();
    if (doubt)
        return Error::environment(
            "the archive can't be trusted any more (see the log above); look at it before you start taad "
            "again");
    return 0;
}

/// The TAA's own clock, watched for one audit.
class OwnClockForOnce {
  public:
    OwnClockForOnce(const taa::Settings& settings, const House& house, const tac::clock::LeapFile& leaps,
                    taa::Diary& diary)
        : watch_(*settings.reference, settings.own_limit, house.clock, {house.wall, house.mono}, leaps, diary,
                 {[this] {
                      {
                          const std::lock_guard lock(mutex_);
                          known_ = true;
                      }
                      changed_.notify_all();
                  },
                  [] {}}) {}

    /// Until it is proved, or isn't after 20 s: then the audit itself says why not.
    Done prove() {
        if (auto done = watch_.start(); !done) return done;
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [this] { return known_; });
        return {};
    }
    [[nodiscard]] const taa::OwnClock& own() const { return watch_.own(); }

  private:
    std::mutex mutex_;
    std::condition_variable changed_;
    bool known_ = false;
    taa::ClockWatch watch_;
};

Result<int> audit_now(const taa::Settings& settings, const std::string& name, bool json) {
    hsm::apply_environment(settings.hsm);
    House house;
    if (auto done = furnish(house, settings, nullptr, nullptr); !done) return std::move(done).error();
    if (house.custody && !house.custody->state().activated)
        return Error::usage(
            "the HSM's PIN is with custodians: start taad and have it activated, it audits every TSU then");
    // Before anything takes its time.
    const auto tsu = std::find_if(house.tsus.begin(), house.tsus.end(),
                                  [&name](const taa::AuditedTsu& one) { return one.settings.name == name; });
    if (tsu == house.tsus.end()) return Error::usage("there is no [tsu." + name + "] in the configuration");
    if (const auto refusal = house.admissions->refusal(name)) return Error::no(*refusal);
    const tac::clock::LeapFile leaps(settings.leap_seconds);
    std::optional<OwnClockForOnce> own;
    if (settings.reference) {
        own.emplace(settings, house, leaps, *house.diary);
        if (auto done = own->prove(); !done) return std::move(done).error();
    }
    // Proving the clock, and a slow TSU, take their time.
    if (house.checkpoints) house.checkpoints->start();
    taa::Auditor auditor({settings.samples, settings.measurements, settings.deadline}, *house.issuer,
                         *house.archive, *house.admissions, {house.wall, house.mono},
                         own ? &own->own() : nullptr, &leaps, [&house] { return house.held_back(); });
    auto served = *tsu;
    served.certificate = house.admissions->certificate(name);
    const auto report = auditor.audit(served, taa::Cause::operator_order);
    std::cout << (json ? report.json() : report.log_line()) << '\n';
    if (report.ending() == taa::Ending::settled && report.verdict) return 0;
    // An order to stop or a refusal is an answer; everything else wasn't one.
    return report.verdict ? 1 : 3;
}

Result<int> archive_init(const taa::Settings& settings, bool json) {
    if (auto done = store::Archive::create(settings.archive, SystemWallClock().now(), settings.archive_name);
        !done)
        return std::move(done).error();
    if (json)
        std::cout << json_text(nlohmann::json{{"made", "archive"}, {"dir", settings.archive}}) << '\n';
    else
        std::cout << "made an empty archive in " << settings.archive << '\n';
    return 0;
}

hsm::custody::Site site_of(const taa::Settings& settings) {
    hsm::custody::Site site{
        settings.hsm,
        "taad",
        "taad",
        settings.control,
        settings.archive,
        hsm::keytool::Purpose::plain,
        [](const hsm::Key& key, const std::string& csr, const std::string& custodians,
           const std::string& account) {
            std::vector<std::pair<store::Event, std::vector<store::Blob>>> records;
            const auto add = [&](const char* kind) {
                records.emplace_back(
                    hsm::custody::key_event(kind, key.label(), key.spki(), account, custodians),
                    std::vector<store::Blob>());
            };
            add("key.generated");
            if (csr.empty()) return records;  // the archive's
            add("key.requested");
            records.back().second.emplace_back(Bytes(csr.begin(), csr.end()));
            records.back().first.blobs.push_back(records.back().second.back().id());
            return records;
        }};
    if (settings.checkpoints) site.archive_key = settings.checkpoints->key;
    return site;
}

Result<int> key_list(const taa::Settings& settings, bool json) {
    const auto site = site_of(settings);
    auto there = hsm::custody::keys_of(site);
    auto keys = there ? (*there)->list() : there.error();
    if (!keys) keys = hsm::custody::list_keys_here(site);
    if (!keys) return keys.error();
    std::cout << (json ? *keys + '\n' : hsm::keys_text(*keys));
    return 0;
}

Result<int> run(int argc, char** argv) {
    Arguments arguments;
    CLI::App app{"Kokuin's time assessment authority. Without a verb it serves until SIGTERM."};
    app.require_subcommand(0, 1);
    app.add_option("--config", arguments.config, "configuration (see conf/taad.toml)")->capture_default_str();
    add_json_flag(app, arguments.json);

    bool keep = false;
    std::optional<int> kept_by;
    hsm::custody::add_keeper_options(app, keep, kept_by);
    std::optional<hsm::custody::Keeper> keeper;
    const auto serving = [&](const taa::Settings& settings) {
        return serve(settings, keeper ? &*keeper : nullptr);
    };
    std::function<Result<int>(const taa::Settings&)> chosen = serving;
    const auto on = [&](CLI::App* verb, std::function<Result<int>(const taa::Settings&)> action) {
        verb->callback([&chosen, action = std::move(action)] { chosen = action; });
    };
    const auto noun = [&](const char* name, const char* about) {
        auto* made = app.add_subcommand(name, about);
        made->require_subcommand(1);
        return made;
    };

    auto* archive = noun("archive", "the archive of audits");
    on(archive->add_subcommand("init", "make an empty archive"),
       [&](const taa::Settings& settings) { return archive_init(settings, arguments.json); });

    auto* key = noun("key", "keys in the HSM");
    on(key->add_subcommand("list", "the keys and their certificates"),
       [&](const taa::Settings& settings) { return key_list(settings, arguments.json); });
    hsm::add_key_commands(*key, arguments.key, hsm::KeyRecords::no, [&](hsm::KeyAction action) {
        chosen = [&arguments, action = std::move(action)](const taa::Settings& settings) -> Result<int> {
            auto keys = hsm::custody::keys_of(site_of(settings));
            if (!keys) return std::move(keys).error();
            return action(**keys, arguments.json, std::cout);
        };
    });
    hsm::add_token_commands(*noun("token", "the HSM's token"), arguments.key, [&](hsm::TokenAction action) {
        chosen = [&arguments, action = std::move(action)](const taa::Settings& settings) {
            return action(settings.hsm, arguments.json, std::cout);
        };
    });
    hsm::custody::add_commands(app, arguments.custody, [&](hsm::custody::Action action) {
        chosen = [&arguments, action = std::move(action)](const taa::Settings& settings) {
            return action(site_of(settings), arguments.json, std::cout);
        };
    });

    auto* audit = noun("audit", "audits (while taad is down: it alone writes its archive)");
    auto* now = audit->add_subcommand(
        "now", "audit one TSU: exit 0 TAC accepted, 1 order to stop, refused or not admitted, 3 neither");
    now->add_option("TSU", arguments.tsu.tsu, "name of its [tsu.NAME]")->required();
    on(now,
       [&](const taa::Settings& settings) { return audit_now(settings, arguments.tsu.tsu, arguments.json); });

    auto* tsu = noun("tsu", "who is audited and gets TACs: admission, review, suspension, removal");
    on(tsu->add_subcommand("list", "what each TSU is, since when and why"),
       [&](const taa::Settings& settings) {
           return taa::tsu_list(settings, arguments.json, SystemWallClock().now(), std::cout);
       });
    const auto step = [&](taa::Step what, const char* about) {
        auto* verb = tsu->add_subcommand(std::string(taa::name(what)), about);
        verb->add_option("TSU", arguments.tsu.tsu, "name of its [tsu.NAME]")->required();
        verb->add_option("--why", arguments.tsu.why, "the reason, one line, for the record")->required();
        verb->add_option(
                "--by", arguments.tsu.by,
                "who takes the step, as a role or number (no name of a person): recorded beside your account")
            ->required();
        on(verb, [&arguments, what](const taa::Settings& settings) {
            return taa::tsu_step(settings, what, arguments.tsu, arguments.json, SystemWallClock(), std::cout);
        });
    };
    step(taa::Step::admit, "serve a TSU from now on, as the configuration describes it");
    step(taa::Step::review, "a TSU was looked at again; accepts its new certificate, peer or name");
    step(taa::Step::suspend, "stop serving a TSU for the time being");
    step(taa::Step::resume, "serve a suspended TSU again");
    step(taa::Step::remove, "stop serving a TSU for good");

    auto* report = app.add_subcommand(
        "report", "the monthly reports: files in [report] dir, kept in the archive when the month is over");
    report->add_option("--month", arguments.report.month, "YYYY-MM, UTC")->required();
    report->add_option("--tsa", arguments.report.tsa, "of this TSA only (default: all)");
    auto* html = report->add_option("--html", arguments.report.html, "write the HTML to this file too");
    report->add_option("--lang", arguments.report.language, "language of that file: en (default), ja")
        ->transform(CLI::CheckedTransformer(
            std::map<std::string, taa::Language>{{"en", taa::Language::en}, {"ja", taa::Language::ja}}))
        ->needs(html);
    on(report, [&](const taa::Settings& settings) {
        arguments.report.json = arguments.json;
        return taa::report(settings, arguments.report, SystemWallClock().now(), std::cout, std::cerr);
    });

    const auto go_on = read_command_line("taad", app, argc, argv);
    if (!go_on) return go_on.error();
    if (!*go_on) return 0;
    if (keep) {
        if (!app.get_subcommands().empty())
            return Error::usage("--keep is for serving; a verb needs no keeper");
        return hsm::custody::run_with_keeper("taad", {"--config", arguments.config});
    }
    if (kept_by) keeper.emplace(*kept_by);
    auto settings = taa::load_settings(arguments.config);
    if (!settings) return std::move(settings).error();
    return chosen(*settings);
}

}  // namespace

int main(int argc, char** argv) {
    return run_program("taad", [&] {
        log_to_stderr("taad");
        return run(argc, argv);
    });
}
