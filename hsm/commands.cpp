#include "hsm/commands.h"

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "base/file.h"
#include "base/json_text.h"
#include "base/secret.h"
#include "base/text.h"
#include "base/time.h"

namespace kokuin::hsm {
namespace {

using nlohmann::json;

/// Answers in JSON or as the line `text`; an empty one is none.
int answer(bool as_json, const json& value, const std::string& text, std::ostream& out) {
    if (as_json)
        out << json_text(value) << '\n';
    else if (!text.empty())
        out << text << '\n';
    return 0;
}

/// The first certificate of a PEM text: files for servers hold the chain after it.
std::string first_certificate(const std::string& pem) {
    static const std::string end = "-----END CERTIFICATE-----";
    const auto at = pem.find(end);
    return at == std::string::npos ? pem : pem.substr(0, at + end.size()) + "\n";
}

/// The token opened in this process.
class KeysHere final : public Keys {
  public:
    KeysHere(std::unique_ptr<Token> token, keytool::Purpose purpose)
        : token_(std::move(token)), purpose_(purpose) {}
    Result<MadeKey> generate(const KeyArguments& arguments) override {
        const auto key = keytool::generate(*token_, arguments.label, arguments.type, arguments.bits);
        if (!key) return key.error();
        return MadeKey{key->label(), to_hex(key->id()), std::string(name(key->algorithm())), key->bits()};
    }
    Result<std::string> csr(const KeyArguments& arguments) override {
        return keytool::csr(*token_, arguments.label, arguments.subject, purpose_);
    }
    Done import(const KeyArguments& arguments, const std::string& pem) override {
        return keytool::import(*token_, arguments.label, first_certificate(pem));
    }
    Result<std::string> list() override { return keys_json(*token_); }

  private:
    std::unique_ptr<Token> token_;
    keytool::Purpose purpose_;
};

Result<int> generate(const KeyArguments& arguments, Keys& keys, bool as_json, std::ostream& out) {
    const auto key = keys.generate(arguments);
    if (!key) return key.error();
    return answer(
        as_json,
        {{"made", "key"}, {"label", key->label}, {"type", key->type}, {"bits", key->bits}, {"id", key->id}},
        "made the key '" + key->label + "', " + key->type + " " + std::to_string(key->bits) + " bits, id " +
            key->id,
        out);
}

Result<int> csr(const KeyArguments& arguments, Keys& keys, bool as_json, std::ostream& out) {
    const auto pem = keys.csr(arguments);
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

Result<int> import_certificate(const KeyArguments& arguments, Keys& keys, bool as_json, std::ostream& out) {
    const auto pem = read_file(arguments.file, 1U << 20U);
    if (!pem) return pem.error();
    auto done = keys.import(arguments, as_text(*pem));
    if (!done) return std::move(done).error().in(arguments.file);
    return answer(as_json, {{"made", "certificate"}, {"key", arguments.label}, {"file", arguments.file}},
                  "put the certificate beside the key '" + arguments.label + "'", out);
}

/// A text that somebody else chose.
std::string shown(const json& object, const char* name) {
    return one_line(object.value(name, ""), any_length);
}

}  // namespace

TokenOptions options_of(const Settings& settings) {
    TokenOptions options;
    options.module_path = settings.module;
    options.module_parameters = settings.module_parameters;
    options.token = settings.token;
    options.sessions = settings.sessions;
    return options;
}

Result<std::unique_ptr<Token>> open_token(const Settings& settings,
                                          std::function<void(const TokenEvent&)> on_event) {
    auto options = options_of(settings);
    if (!settings.pin_file.empty()) {
        auto pin = read_secret_file(settings.pin_file);
        if (!pin) return std::move(pin).error();
        options.pin = std::move(*pin);
    }
    options.on_event = std::move(on_event);
    return settings.pin_file.empty() ? Token::open_locked(std::move(options))
                                     : Token::open(std::move(options));
}

Result<std::unique_ptr<Token>> open_locked_token(const Settings& settings, Modules& modules,
                                                 std::function<void(const TokenEvent&)> on_event) {
    auto module = modules.get(settings.module, settings.module_parameters);
    if (!module) return std::move(module).error();
    auto options = options_of(settings);
    options.on_event = std::move(on_event);
    return Token::open_locked(std::move(options), std::move(*module));
}

Result<std::unique_ptr<Keys>> keys_here(const Settings& settings, keytool::Purpose purpose) {
    apply_environment(settings);
    auto token = open_token(settings);
    if (!token) return std::move(token).error();
    return std::unique_ptr<Keys>(std::make_unique<KeysHere>(std::move(*token), purpose));
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
    return json_text(all);
}

std::string keys_text(const std::string& text) {
    const auto keys = parse_json(text);
    if (!keys.is_array() || keys.empty()) return "no keys\n";
    std::string out;
    for (const auto& key : keys) {
        const bool known =
            key.contains("sensitive") && key["sensitive"].is_boolean() && key["extractable"].is_boolean();
        const bool safe = known && key["sensitive"].get<bool>() && !key["extractable"].get<bool>();
        out += shown(key, "label") + ": " + key.value("type", "") + " " +
               std::to_string(key.value("bits", 0)) + " bits, id " + key.value("id", "") +
               (key.value("missing", false) ? ", NOT IN THE TOKEN\n"
                : !known                    ? ", its private half was not looked at: the token is locked\n"
                : safe                      ? ", never leaves the token\n"
                                            : ", NOT PROTECTED (sensitive or extractable set wrong)\n");
        if (const auto in = shown(key, "hsm"); !in.empty() && in != "hsm") out += "  in the HSM " + in + '\n';
        if (key.contains("about")) out += "  " + shown(key, "about") + '\n';
        for (const auto& one : key.value("certificates", json::array()))
            out +=
                "  certificate of " + shown(one, "subject") + " until " + one.value("not_after", "") + '\n';
    }
    return out;
}

void add_key_commands(CLI::App& key, KeyArguments& arguments, KeyRecords records,
                      const std::function<void(KeyAction)>& choose) {
    const auto add = [&](const char* name, const char* help, const std::function<void(CLI::App&)>& options,
                         Result<int> (*action)(const KeyArguments&, Keys&, bool, std::ostream&)) {
        auto* command = key.add_subcommand(name, help);
        command->add_option("LABEL", arguments.label, "label of the key in the token")->required();
        options(*command);
        if (records == KeyRecords::yes) {
            command->add_option("--why", arguments.why, "the reason, one line, for the record")->required();
            command->add_option("--by", arguments.by, "who, as a role or number (no name of a person)")
                ->required();
        }
        command->callback([choose, action, &arguments] {
            choose([action, &arguments](Keys& keys, bool as_json, std::ostream& out) {
                return action(arguments, keys, as_json, out);
            });
        });
    };
    add(
        "generate", "make a key pair in the HSM; it never leaves it",
        [&](CLI::App& command) {
            command
                .add_option_function<std::string>(
                    "--type",
                    [&arguments](const std::string& type) {
                        arguments.type = key_algorithm(type).value_or(KeyAlgorithm::rsa);
                    },
                    "of the key (default: rsa); TSUs, TAAs and CAs sign with RSA")
                ->check(CLI::IsMember({"rsa", "ed25519"}));
            command.add_option("--bits", arguments.bits, "of an RSA key: 2048 (default), 3072 or 4096");
            if (records == KeyRecords::yes)
                command.add_option("--tsu", arguments.tsu, "whose key it shall be: NAME of its [tsu.NAME]");
        },
        generate);
    add(
        "csr", "write a certificate request (PKCS#10), signed in the HSM",
        [&](CLI::App& command) {
            command.add_option("--subject", arguments.subject, "e.g. \"C=JP,O=Example,CN=TSU 1\"")
                ->required();
            command.add_option("-o,--output", arguments.output, "where to write (default: the terminal)");
        },
        csr);
    add(
        "import", "put the certificate beside its key in the HSM",
        [&](CLI::App& command) {
            command.add_option("FILE", arguments.file, "the certificate (PEM)")->required();
        },
        import_certificate);
}

void add_token_commands(CLI::App& token, KeyArguments& arguments,
                        const std::function<void(TokenAction)>& choose) {
    auto* init =
        token.add_subcommand("init", "initialise a free slot with label and PIN of the configuration");
    init->add_option("--so-pin-file", arguments.so_pin_file, "file with the security officer's PIN")
        ->required();
    init->callback([&arguments, choose] {
        choose([&arguments](const Settings& settings, bool as_json, std::ostream& out) -> Result<int> {
            apply_environment(settings);
            if (auto done = initialise_token(settings, arguments.so_pin_file); !done)
                return std::move(done).error();
            return answer(as_json, {{"made", "token"}, {"token", settings.token}},
                          "made the token " + settings.token, out);
        });
    });
}

}  // namespace kokuin::hsm
