// tsca: an offline CA for TSUs and TAAs. This file wires.
#include <CLI/CLI.hpp>
#include <functional>
#include <iostream>

#include "base/program.h"
#include "ca/commands.h"
#include "hsm/commands.h"
#include "hsm/custody/commands.h"

namespace {

using namespace kokuin;

Result<int> run(int argc, char** argv) {
    std::string config = "tsca.toml";
    bool json = false;
    ca::Arguments arguments;
    hsm::KeyArguments key_arguments;
    hsm::custody::Arguments custody;
    CLI::App app{"An offline CA for time-stamping units, time assessment authorities and their channels."};
    app.require_subcommand(1);
    app.add_option("--config", config, "configuration of tsca")->capture_default_str();
    add_json_flag(app, json);

    std::function<Result<int>(const ca::Settings&)> chosen;
    const auto on = [&](CLI::App* command, std::function<Result<int>(const ca::Settings&)> action) {
        command->callback([&chosen, action = std::move(action)] { chosen = action; });
    };
    const auto why_and_by = [&](CLI::App* command) {
        command->add_option("--why", arguments.why, "the reason, one line, for the record")->required();
        command->add_option("--by", arguments.by, "who, as a role or number (no name of a person)")
            ->required();
    };
    const auto signs = [&](CLI::App* command) {
        why_and_by(command);
        hsm::custody::add_session_options(*command, arguments.session);
    };
    const auto nouns = [&app](const char* name, const char* help) {
        auto* noun = app.add_subcommand(name, help);
        noun->require_subcommand(1);
        return noun;
    };

    on(nouns("archive", "the archive: what this CA remembers")
           ->add_subcommand("init", "make an empty archive"),
       [&](const ca::Settings& settings) { return ca::init_archive(settings, json, std::cout); });
    hsm::custody::add_ceremony_commands(
        app, custody, hsm::custody::FirstKey::later, [&](hsm::custody::Action action) {
            chosen = [&, action = std::move(action)](const ca::Settings& settings) {
                return action(ca::site_of(settings), json, std::cout);
            };
        });
    hsm::add_token_commands(*nouns("token", "the HSM's token"), key_arguments, [&](hsm::TokenAction action) {
        chosen = [&, action = std::move(action)](const ca::Settings& settings) {
            return action(settings.hsm, json, std::cout);
        };
    });

    auto* key = nouns("key", "the CA's keys in the HSM");
    auto* generate =
        key->add_subcommand("generate", "make a key of the configuration; it never leaves the HSM");
    generate->add_option("LABEL", arguments.label, "[root] key or [issuing] key")->required();
    generate->add_option("--bits", arguments.bits, "2048, 3072 or 4096")->capture_default_str();
    signs(generate);
    on(generate,
       [&](const ca::Settings& settings) { return ca::key_generate(settings, arguments, json, std::cout); });
    on(key->add_subcommand("list", "the keys and their certificates"),
       [&](const ca::Settings& settings) -> Result<int> {
           const auto keys = hsm::custody::list_keys_here(ca::site_of(settings));
           if (!keys) return keys.error();
           std::cout << (json ? *keys + "\n" : hsm::keys_text(*keys));
           return 0;
       });

    for (const auto profile : {ca::Profile::root, ca::Profile::issuing}) {
        const bool is_root = profile == ca::Profile::root;
        auto* init = nouns(is_root ? "root" : "issuing", is_root ? "the root CA" : "the issuing CA")
                         ->add_subcommand("init", is_root ? "sign the root's certificate, once"
                                                          : "certify the issuing CA by the root, once");
        signs(init);
        on(init, [&, profile](const ca::Settings& settings) {
            return ca::make_ca(profile, settings, arguments, json, std::cout);
        });
    }

    auto* issue = app.add_subcommand("issue", "certify the key of a request (PKCS#10)");
    issue
        ->add_option("--profile", arguments.profile,
                     "tsu, taa, archive, tls-server, tls-client, channel or ocsp")
        ->required();
    issue->add_option("--csr", arguments.csr, "the request (PEM or DER)")->required();
    issue->add_option("-o,--output", arguments.output, "where to write the certificate (PEM)")->required();
    issue->add_option("--days", arguments.days, "how long it holds (default: [validity])")
        ->check(CLI::Range(1U, 36500U));
    issue->add_option("--successor-of", arguments.successor_of,
                      "serial of the certificate whose subject this key goes on to bear");
    signs(issue);
    on(issue, [&](const ca::Settings& settings) { return ca::issue(settings, arguments, json, std::cout); });

    auto* revoke = app.add_subcommand("revoke", "revoke a certificate; the next publication says so");
    revoke->add_option("SERIAL", arguments.serial, "its serial number, hex")->required();
    revoke->add_option("--reason", arguments.reason, "keyCompromise, superseded, cessationOfOperation, …")
        ->required();
    why_and_by(revoke);
    on(revoke,
       [&](const ca::Settings& settings) { return ca::revoke(settings, arguments, json, std::cout); });

    on(app.add_subcommand("list", "all certificates"),
       [&](const ca::Settings& settings) { return ca::list(settings, json, std::cout); });
    auto* show = app.add_subcommand("show", "one certificate");
    show->add_option("SERIAL", arguments.serial, "its serial number, hex")->required();
    show->add_option("-o,--output", arguments.output, "write the certificate to this file (PEM)");
    on(show, [&](const ca::Settings& settings) { return ca::show(settings, arguments, json, std::cout); });

    auto* publish =
        app.add_subcommand("publish", "write what the world gets: certificates, CRLs, OCSP responses");
    publish->add_option("DIR", arguments.folder, "where; replaced as a whole if it is a publication")
        ->required();
    signs(publish);
    on(publish,
       [&](const ca::Settings& settings) { return ca::publish(settings, arguments, json, std::cout); });

    const auto go_on = read_command_line("tsca", app, argc, argv);
    if (!go_on) return go_on.error();
    if (!*go_on) return 0;
    const auto settings = ca::load_settings(config);
    if (!settings) return settings.error();
    return chosen(*settings);
}

}  // namespace

int main(int argc, char** argv) {
    return run_program("tsca", [&] { return run(argc, argv); });
}
