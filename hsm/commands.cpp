#include "hsm/commands.h"

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "base/file.h"
#include "base/secret.h"
#include "base/text.h"
#include "base/time.h"

namespace kokuin::hsm {
namespace {

using nlohmann::json;

/// Answers in JSON or as the line `text`; an empty one is none.
int answer(bool as_json, const json& value, const std::string& text, std::ostream& out) {
    if (as_json)
        out << value.dump(-1, ' ', false, json::error_handler_t::replace) << '\n';
    else if (!text.empty())
        out << text << '\n';
    return 0;
}

Result<int> generate(const KeyArguments& arguments, const Settings& settings, bool as_json,
                     std::ostream& out) {
    auto token = open_token(settings);
    if (!token) return std::move(token).error();
    const auto key = keytool::generate(**token, arguments.label, arguments.bits);
    if (!key) return key.error();
    const auto id = to_hex(key->id());
    return answer(
        as_json,
        {{"made", "key"}, {"label", key->label()}, {"type", "RSA"}, {"bits", key->bits()}, {"id", id}},
        "made the key '" + key->label() + "', RSA " + std::to_string(key->bits()) + " bits, id " + id, out);
}

Result<int> csr(const KeyArguments& arguments, keytool::Purpose purpose, const Settings& settings,
                bool as_json, std::ostream& out) {
    auto token = open_token(settings);
    if (!token) return std::move(token).error();
    const auto pem = keytool::csr(**token, arguments.label, arguments.subject, purpose);
    if (!pem) return pem.error();
    json made{{"made", "request"}, {"key", arguments.label}};
    if (arguments.output.empty()) {
        made["pem"] = *pem;
        return answer(as_json, made, pem->substr(0, pem->find_last_not_of('\n') + 1), out);
    }
    if (auto done = write_file(arguments.output, as_view(*pem)); !done) return std::move(done).error();
    made["file"] = arguments.output;
    return answer(as_json, made, "", out);
}

/// The first certificate of a PEM text: files for servers hold the chain after it.
std::string first_certificate(const std::string& pem) {
    static const std::string end = "-----END CERTIFICATE-----";
    const auto at = pem.find(end);
    return at == std::string::npos ? pem : pem.substr(0, at + end.size()) + "\n";
}

Result<int> import_certificate(const KeyArguments& arguments, const Settings& settings, bool as_json,
                               std::ostream& out) {
    const auto pem = read_file(arguments.file, 1U << 20U);
    if (!pem) return pem.error();
    auto token = open_token(settings);
    if (!token) return std::move(token).error();
    auto done = keytool::import(**token, arguments.label, first_certificate(as_text(*pem)));
    if (!done) return std::move(done).error().in(arguments.file);
    return answer(as_json, {{"made", "certificate"}, {"key", arguments.label}, {"file", arguments.file}},
                  "put the certificate beside the key '" + arguments.label + "'", out);
}

/// `action` with the environment that the module wants.
KeyAction in_environment(KeyAction action) {
    return [action = std::move(action)](const Settings& settings, bool as_json, std::ostream& out) {
        apply_environment(settings);
        return action(settings, as_json, out);
    };
}

/// A text that somebody else chose.
std::string shown(const json& object, const char* name) {
    return one_line(object.value(name, ""), any_length);
}

}  // namespace

Result<std::unique_ptr<Token>> open_token(const Settings& settings,
                                          std::function<void(const TokenEvent&)> on_event) {
    auto pin = read_secret_file(settings.pin_file);
    if (!pin) return std::move(pin).error();
    TokenOptions options;
    options.module_path = settings.module;
    options.token = settings.token;
    options.pin = std::move(*pin);
    options.sessions = settings.sessions;
    options.on_event = std::move(on_event);
    return Token::open(std::move(options));
}

Result<std::string> keys_json(Token& token) {
    const auto keys = keytool::list(token);
    if (!keys) return keys.error();
    json all = json::array();
    for (const auto& key : *keys) {
        json certificates = json::array();
        for (const auto& one : key.certificates)
            certificates.push_back({{"subject", one.subject},
                                    {"issuer", one.issuer},
                                    {"not_after", to_rfc3339(one.not_after, 0)}});
        all.push_back({{"label", key.label},
                       {"id", key.id},
                       {"type", key.type},
                       {"bits", key.bits},
                       {"sensitive", key.sensitive},
                       {"extractable", key.extractable},
                       {"certificates", certificates}});
    }
    // A label is whatever somebody wrote into the token.
    return all.dump(-1, ' ', false, json::error_handler_t::replace);
}

std::string keys_text(const std::string& text) {
    const auto keys = json::parse(text, nullptr, false);
    if (!keys.is_array() || keys.empty()) return "no keys\n";
    std::string out;
    for (const auto& key : keys) {
        const bool safe = key.value("sensitive", false) && !key.value("extractable", true);
        out +=
            shown(key, "label") + ": " + key.value("type", "") + " " + std::to_string(key.value("bits", 0)) +
            " bits, id " + key.value("id", "") +
            (safe ? ", never leaves the token\n" : ", NOT PROTECTED (sensitive or extractable set wrong)\n");
        for (const auto& one : key.value("certificates", json::array()))
            out +=
                "  certificate of " + shown(one, "subject") + " until " + one.value("not_after", "") + '\n';
    }
    return out;
}

void add_key_commands(CLI::App& key, KeyArguments& arguments, keytool::Purpose purpose,
                      const std::function<void(KeyAction)>& choose) {
    const auto add = [&](const char* name, const char* help, const std::function<void(CLI::App&)>& options,
                         KeyAction action) {
        auto* command = key.add_subcommand(name, help);
        command->add_option("LABEL", arguments.label, "label of the key in the token")->required();
        options(*command);
        command->callback([choose, action = in_environment(std::move(action))] { choose(action); });
    };
    add(
        "generate", "make an RSA key pair in the HSM; it never leaves it",
        [&](CLI::App& command) {
            command.add_option("--bits", arguments.bits, "2048, 3072 or 4096")->capture_default_str();
        },
        [&arguments](const Settings& settings, bool as_json, std::ostream& out) {
            return generate(arguments, settings, as_json, out);
        });
    add(
        "csr", "write a certificate request (PKCS#10), signed in the HSM",
        [&](CLI::App& command) {
            command.add_option("--subject", arguments.subject, "e.g. \"C=JP,O=Example,CN=TSU 1\"")
                ->required();
            command.add_option("-o,--output", arguments.output, "where to write (default: the terminal)");
        },
        [&arguments, purpose](const Settings& settings, bool as_json, std::ostream& out) {
            return csr(arguments, purpose, settings, as_json, out);
        });
    add(
        "import", "put the certificate beside its key in the HSM",
        [&](CLI::App& command) {
            command.add_option("FILE", arguments.file, "the certificate (PEM)")->required();
        },
        [&arguments](const Settings& settings, bool as_json, std::ostream& out) {
            return import_certificate(arguments, settings, as_json, out);
        });
}

void add_token_commands(CLI::App& token, KeyArguments& arguments,
                        const std::function<void(KeyAction)>& choose) {
    auto* init =
        token.add_subcommand("init", "initialise a free slot with label and PIN of the configuration");
    init->add_option("--so-pin-file", arguments.so_pin_file, "file with the security officer's PIN")
        ->required();
    const auto action = [&arguments](const Settings& settings, bool as_json,
                                     std::ostream& out) -> Result<int> {
        if (auto done = initialise_token(settings, arguments.so_pin_file); !done)
            return std::move(done).error();
        return answer(as_json, {{"made", "token"}, {"token", settings.token}},
                      "made the token " + settings.token, out);
    };
    init->callback([choose, action = in_environment(action)] { choose(action); });
}

}  // namespace kokuin::hsm
