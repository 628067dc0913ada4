// tsactl: the operators' command line, and a small client. This file wires.
#include <CLI/CLI.hpp>
#include <functional>
#include <iostream>
#include <nlohmann/json.hpp>

#include "base/json_text.h"
#include "base/program.h"
#include "hsm/commands.h"
#include "hsm/custody/commands.h"
#include "store/archive.h"
#include "tsa/config.h"
#include "tsa/control/commands.h"

namespace {

using namespace kokuin;
namespace control = tsa::control;

struct Arguments {
    std::string config = "tsad.toml";
    std::string hsm;
    bool json = false;
    control::StampOptions stamp;
    control::VerifyOptions verify;
    hsm::KeyArguments key;
    control::KeyChange change;
    control::SealChange seal;
    control::ImportOptions import;
    std::string import_id;
    control::ExpireOptions expire;
    hsm::custody::Arguments custody;
    std::string backup;
    control::RestoreOptions restore;
};

/// Fills what `stamp` leaves open from the configuration, if there is one.
Done complete(control::StampOptions& options, const Arguments& arguments, bool config_given) {
    if (!options.url.empty()) return {};
    auto settings = tsa::load_settings(arguments.config);
    if (!settings) {
        if (config_given) return std::move(settings).error();
        return Error::usage("stamp needs --url URL of the TSA, or --config FILE of a tsad on this machine");
    }
    options.url = "http://" + config::to_text(settings->http.listen) + "/";
    return {};
}

Done complete(control::VerifyOptions& options, const Arguments& arguments, bool config_given) {
    if (!options.anchors.empty()) return {};
    auto settings = tsa::load_settings(arguments.config);
    if (!settings) {
        if (config_given) return std::move(settings).error();
        return Error::usage(
            "verify needs --ca FILE with the roots you trust (PEM), or --config FILE of a tsad on this "
            "machine");
    }
    options.anchors = settings->tsus.front().chain;
    if (options.certificates.empty()) options.certificates = settings->tsus.front().certificate;
    if (settings->taa && options.taa_anchors.empty()) {
        options.taa_anchors = settings->taa->anchors;
        options.taa_certificates = settings->taa->certificates;
    }
    return {};
}

Result<int> archive_init(const tsa::Settings& settings, bool json) {
    if (auto done = store::Archive::create(settings.archive, SystemWallClock().now(), settings.archive_name);
        !done)
        return std::move(done).error();
    if (json)
        std::cout << json_text(nlohmann::json{{"made", "archive"}, {"dir", settings.archive}}) << '\n';
    else
        std::cout << "made an empty archive in " << settings.archive << '\n';
    return 0;
}

/// What others have written down: tsactl archive import, imports, erase; and what goes after its time:
/// expire.
template <typename WithSettings>
void add_import_commands(CLI::App& archive, Arguments& arguments, const WithSettings& with_settings) {
    const auto add_reasons = [&](CLI::App* command) {
        command->add_option("--why", arguments.import.why, "the reason, one line, for the record")
            ->required();
        command->add_option("--by", arguments.import.by, "who, as a role or number (no name of a person)")
            ->required();
    };
    auto* import =
        archive.add_subcommand("import", "keep what others have written down: who entered a room, …");
    import->add_option("FILE", arguments.import.file, "of at most 4 MiB")->required();
    import->add_option("--kind", arguments.import.kind, "room-entry, subscription or other")->required();
    import->add_option("--subject", arguments.import.subject, "what it is about (no name of a person)")
        ->required();
    import->add_option("--from", arguments.import.from, "the period that it is about: not before (RFC 3339)")
        ->required();
    import->add_option("--to", arguments.import.to, "and before")->required();
    add_reasons(import);
    with_settings(import, [&](const tsa::Settings& settings) {
        return control::archive_import(settings, arguments.import, arguments.json, std::cout);
    });
    with_settings(archive.add_subcommand("imports", "the imports, and what isn't as it should be (exit 1)"),
                  [&](const tsa::Settings& settings) {
                      return control::archive_imports(settings, arguments.json, std::cout);
                  });
    auto* expire = archive.add_subcommand(
        "expire", "remove records that have passed their time, once the custodians agree");
    expire->add_option("--month", arguments.expire.months, "only of this month (2026-10); may be repeated");
    expire->add_option("--kind", arguments.expire.kinds,
                       "only this kind, \"token\" or of events; may be repeated");
    expire->add_option("--list", arguments.expire.list, "write the list that is recorded into this file");
    expire->add_option("--why", arguments.expire.why, "the reason, one line, for the record")->required();
    expire->add_option("--by", arguments.expire.by, "who, as a role or number (no name of a person)")
        ->required();
    with_settings(expire, [&](const tsa::Settings& settings) {
        return control::archive_expire(settings, arguments.expire, arguments.json, std::cout);
    });
    auto* erase = archive.add_subcommand("erase", "erase an import's content, once the custodians agree");
    erase->add_option("ID", arguments.import_id, "as imports shows it")->required();
    add_reasons(erase);
    with_settings(erase, [&](const tsa::Settings& settings) {
        return control::archive_erase(settings, arguments.import_id, arguments.import.why,
                                      arguments.import.by, arguments.json, std::cout);
    });
}

Result<int> run(int argc, char** argv) {
    Arguments arguments;
    CLI::App app{"Kokuin for the operators of a TSA, and a small RFC 3161 client."};
    app.require_subcommand(1);
    auto* config =
        app.add_option("--config", arguments.config, "configuration of tsad")->capture_default_str();
    app.add_option("--hsm", arguments.hsm,
                   "NAME of an [hsm.NAME]: whose custodians, token, new key; without it [hsm], for a new key "
                   "the one of its TSU");
    add_json_flag(app, arguments.json);

    std::function<Result<int>()> chosen;
    // Commands that need the configuration.
    const auto with_settings = [&](CLI::App* command,
                                   std::function<Result<int>(const tsa::Settings&)> action) {
        command->callback([&, action = std::move(action)] {
            chosen = [&, action]() -> Result<int> {
                auto settings = tsa::load_settings(arguments.config);
                if (!settings) return std::move(settings).error();
                return action(*settings);
            };
        });
    };

    with_settings(
        app.add_subcommand("status", "is the server ready, and why not (exit 1)"),
        [&](const tsa::Settings& settings) { return control::status(settings, arguments.json, std::cout); });

    auto* stamp = app.add_subcommand("stamp", "stamp a file: writes the TimeStampResp");
    stamp->add_option("FILE", arguments.stamp.file)->required();
    stamp->add_option("-o,--output", arguments.stamp.output, "where to write (default: FILE.tsr)");
    stamp->add_option("--url", arguments.stamp.url, "the TSA (default: the plain HTTP listener of --config)");
    stamp->add_option("--ca", arguments.stamp.ca, "anchors for an https URL (PEM)");
    stamp->add_option("--policy", arguments.stamp.policy, "OID of the policy (default: the server's)");
    stamp->add_option("--hash", arguments.stamp.hash, "sha256, sha384 or sha512")->capture_default_str();
    bool no_certificates = false;
    stamp->add_flag("--no-certificates", no_certificates,
                    "ask for a token without certificates (certReq FALSE)");
    stamp->callback([&] {
        chosen = [&]() -> Result<int> {
            arguments.stamp.certificates = !no_certificates;
            if (auto done = complete(arguments.stamp, arguments, config->count() > 0); !done)
                return std::move(done).error();
            return control::stamp(arguments.stamp, arguments.json, std::cout);
        };
    });

    auto* verify = app.add_subcommand("verify", "verify a token of a file: every check, with its outcome");
    verify->add_option("FILE", arguments.verify.file)->required();
    verify->add_option("TOKEN", arguments.verify.token, "a TimeStampResp or a bare token")->required();
    verify->add_option("--ca", arguments.verify.anchors, "roots you trust (PEM)");
    verify->add_option("--certificates", arguments.verify.certificates, "further certificates (PEM)");
    verify->add_option("--taa-ca", arguments.verify.taa_anchors,
                       "roots of the TAA, for a TAC in the token (PEM; default: --ca)");
    verify->add_option("--taa-certificates", arguments.verify.taa_certificates,
                       "the TAA's certificate (PEM)");
    verify->callback([&] {
        chosen = [&]() -> Result<int> {
            if (auto done = complete(arguments.verify, arguments, config->count() > 0); !done)
                return std::move(done).error();
            return control::verify(arguments.verify, arguments.json, std::cout);
        };
    });

    auto* key = app.add_subcommand("key", "keys in the HSM");
    key->require_subcommand(1);
    with_settings(key->add_subcommand("list", "the keys and their certificates"),
                  [&](const tsa::Settings& settings) {
                      return control::key_list(settings, arguments.json, std::cout);
                  });
    // Commands that need the configuration, whoever wants which part of it.
    const auto choose = [&](std::function<Result<int>(const tsa::Settings&)> action) {
        chosen = [&, action = std::move(action)]() -> Result<int> {
            auto settings = tsa::load_settings(arguments.config);
            if (!settings) return std::move(settings).error();
            return action(*settings);
        };
    };
    auto* shown = key->add_subcommand("show", "one key: state, certificate, until when it signs");
    shown->add_option("LABEL", arguments.change.label, "label of the key in the token")->required();
    with_settings(shown, [&](const tsa::Settings& settings) {
        return control::key_show(settings, arguments.change.label, arguments.json, std::cout);
    });
    const auto change =
        [&](const char* name, const char* help,
            Result<int> (*action)(const tsa::Settings&, const control::KeyChange&, bool, std::ostream&)) {
            auto* command = key->add_subcommand(name, help);
            command->add_option("LABEL", arguments.change.label, "label of the key in the token")->required();
            command->add_option("--why", arguments.change.why, "the reason, one line, for the record")
                ->required();
            command->add_option("--by", arguments.change.by, "who, as a role or number (no name of a person)")
                ->required();
            if (action == control::key_compromise)
                command->add_option("--dir", arguments.change.dir,
                                    "where to write what is handed on; otherwise compromised-LABEL");
            with_settings(command, [&arguments, action](const tsa::Settings& settings) {
                return action(settings, arguments.change, arguments.json, std::cout);
            });
        };
    change("rotate",
           "a certified key takes over its TSU, once the TAA has audited its certificate; no request fails",
           control::key_rotate);
    change("activate", "the same as rotate: the TSU may be without a key that signs", control::key_rotate);
    change("retire", "a key signs no more; it must be destroyed within a month", control::key_retire);
    change("compromise", "a key is compromised or may be: it signs nothing from now on, never again",
           control::key_compromise);
    change("destroy", "destroy a key in the HSM, once the custodians agree", control::key_destroy);
    hsm::add_key_commands(*key, arguments.key, hsm::KeyRecords::yes, [&](hsm::KeyAction action) {
        choose([&, action](const tsa::Settings& settings) -> Result<int> {
            auto name = arguments.hsm;
            for (const auto& one : settings.tsus)
                if (name.empty() && one.name == arguments.key.tsu) name = one.hsm;
            const auto hsm = control::choose_hsm(settings, name);
            if (!hsm) return hsm.error();
            arguments.key.hsm = arguments.hsm;
            auto keys = hsm::custody::keys_of(control::site_of(settings, **hsm));
            if (!keys) return std::move(keys).error();
            return action(**keys, arguments.json, std::cout);
        });
    });
    hsm::custody::add_commands(app, arguments.custody, [&](hsm::custody::Action action) {
        choose([&, action](const tsa::Settings& settings) -> Result<int> {
            const auto hsm = control::choose_hsm(settings, arguments.hsm);
            if (!hsm) return hsm.error();
            return action(control::site_of(settings, **hsm), arguments.json, std::cout);
        });
    });

    auto* programs = app.add_subcommand("programs", "the files that the running tsad consists of");
    programs->require_subcommand(1);
    auto* programs_list =
        programs->add_subcommand("list", "the files, and what isn't as it should be (exit 1)");
    bool sums = false;
    programs_list->add_flag("--sums", sums, "the list alone, for sha256sum -c");
    with_settings(programs_list, [&](const tsa::Settings& settings) {
        return control::programs_list(settings, sums, arguments.json, std::cout);
    });
    auto* programs_accept = programs->add_subcommand(
        "accept", "the files as they are now count from now on, once the custodians agree");
    programs_accept->add_option("--why", arguments.change.why, "the reason, one line, for the record")
        ->required();
    programs_accept->add_option("--by", arguments.change.by, "who, as a role or number (no name of a person)")
        ->required();
    with_settings(programs_accept, [&](const tsa::Settings& settings) {
        return control::programs_accept(settings, arguments.change.why, arguments.change.by, arguments.json,
                                        std::cout);
    });

    auto* token = app.add_subcommand("token", "the HSM's token");
    token->require_subcommand(1);
    hsm::add_token_commands(*token, arguments.key, [&](hsm::TokenAction action) {
        choose([&, action](const tsa::Settings& settings) -> Result<int> {
            const auto hsm = control::choose_hsm(settings, arguments.hsm);
            if (!hsm) return hsm.error();
            return action(**hsm, arguments.json, std::cout);
        });
    });

    auto* seal = app.add_subcommand("seal", "seals of finished months, and their time-stamps");
    seal->require_subcommand(1);
    with_settings(seal->add_subcommand("list", "each finished month, and until when its time-stamp holds"),
                  [&](const tsa::Settings& settings) {
                      return control::seal_list(settings, arguments.json, std::cout);
                  });
    auto* renew = seal->add_subcommand("renew", "have a month's time-stamp renewed now, due or not");
    renew->add_option("MONTH", arguments.seal.month, "YYYY-MM")->required();
    renew->add_option("--why", arguments.seal.why, "the reason, one line, for the record")->required();
    renew->add_option("--by", arguments.seal.by, "who, as a role or number (no name of a person)")
        ->required();
    with_settings(renew, [&](const tsa::Settings& settings) {
        return control::seal_renew(settings, arguments.seal, arguments.json, std::cout);
    });

    auto* archive = app.add_subcommand("archive", "the archive");
    archive->require_subcommand(1);
    with_settings(archive->add_subcommand("init", "make an empty archive"),
                  [&](const tsa::Settings& settings) { return archive_init(settings, arguments.json); });
    add_import_commands(*archive, arguments, with_settings);
    auto* backup = archive->add_subcommand(
        "backup", "copy what the archive has into DIR, also while tsad runs; again: what came since");
    backup->add_option("DIR", arguments.backup, "an empty or new folder, or one with an earlier backup")
        ->required();
    with_settings(backup, [&](const tsa::Settings& settings) {
        return control::archive_backup(settings, arguments.backup, arguments.json, std::cout);
    });
    auto* restore = archive->add_subcommand(
        "restore", "put a lost archive into its place again, out of a copy; tsad is down");
    auto& wish = arguments.restore;
    restore->add_option("--from", wish.from, "folder of the copy: a second place, or a backup")->required();
    auto* witnessed = restore->add_option("--witnessed", wish.witnessed,
                                          "file with the newest checkpoint that somebody outside has seen");
    restore
        ->add_flag("--no-witness", wish.no_witness,
                   "nobody outside has seen any: what the copy lacks can't be told")
        ->excludes(witnessed);
    restore->add_option("--log-key", wish.log_key,
                        "NAME+ID+KEY, who has signed that (default: a key that the copy names)");
    restore->add_option("--damaged", wish.damaged,
                        "folder with what is left of the archive: lost tokens are named out of it");
    restore->add_option("--why", wish.why, "the reason, one line, for the record")->required();
    restore->add_option("--by", wish.by, "who, as a role or number (no name of a person)")->required();
    hsm::custody::add_session_options(*restore, wish.session);
    with_settings(restore, [&](const tsa::Settings& settings) {
        wish.hsm = arguments.hsm;
        return control::archive_restore(settings, wish, arguments.json, std::cout);
    });

    const auto go_on = read_command_line("tsactl", app, argc, argv);
    if (!go_on) return go_on.error();
    if (!*go_on) return 0;
    return chosen();
}

}  // namespace

int main(int argc, char** argv) {
    return run_program("tsactl", [&] { return run(argc, argv); });
}
