#include "hsm/keytool.h"

#include <botan/auto_rng.h>
#include <botan/pk_keys.h>
#include <botan/pkcs10.h>
#include <botan/x509_ext.h>

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <nlohmann/json.hpp>

#include "base/file.h"
#include "base/secret.h"
#include "base/time.h"
#include "hsm/botan_key.h"

namespace kokuin::hsm {
namespace {

using nlohmann::json;

/// "C=JP,O=Example,CN=TSU 1" as a Name.
Result<Botan::X509_DN> parse_subject(const std::string& text) {
    const auto bad = [&](const std::string& what) {
        return Error::usage("--subject '" + text + "': " + what +
                            "; e.g. \"C=JP,O=Example,CN=TSU 1\" with C, ST, L, O, OU, CN, SERIALNUMBER");
    };
    Botan::X509_DN name;
    std::string part;
    std::vector<std::string> parts;
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] == '\\' && i + 1 < text.size()) {
            part += text[++i];
        } else if (text[i] == ',') {
            parts.push_back(std::exchange(part, {}));
        } else {
            part += text[i];
        }
    }
    parts.push_back(part);
    for (const auto& one : parts) {
        const auto equals = one.find('=');
        if (equals == std::string::npos || equals == 0 || equals + 1 == one.size())
            return bad("'" + one + "' is no NAME=value");
        auto key = one.substr(0, equals);
        key.erase(0, key.find_first_not_of(' '));
        static const std::map<std::string, std::string> known{{"C", "X520.Country"},
                                                              {"ST", "X520.State"},
                                                              {"L", "X520.Locality"},
                                                              {"O", "X520.Organization"},
                                                              {"OU", "X520.OrganizationalUnit"},
                                                              {"CN", "X520.CommonName"},
                                                              {"SERIALNUMBER", "X520.SerialNumber"}};
        const auto found = known.find(key);
        if (found == known.end()) return bad("'" + key + "' is not known here");
        if (key == "C" && one.size() - equals - 1 != 2) return bad("a country has two letters");
        name.add_attribute(found->second, one.substr(equals + 1));
    }
    return name;
}

Result<int> generate(const KeyArguments& arguments, const Settings& settings, std::ostream& out) {
    auto token = open_token(settings);
    if (!token) return std::move(token).error();
    const auto key = (*token)->generate_rsa(arguments.label, arguments.bits);
    if (!key) return key.error();
    out << "made the key '" << key->label << "', RSA " << key->bits << " bits, id " << to_hex(key->id)
        << '\n';
    return 0;
}

Result<int> csr(const KeyArguments& arguments, Purpose purpose, const Settings& settings, std::ostream& out) {
    auto token = open_token(settings);
    if (!token) return std::move(token).error();
    const auto pem = make_csr(**token, arguments.label, arguments.subject, purpose);
    if (!pem) return pem.error();
    if (arguments.output.empty()) {
        out << *pem;
        return 0;
    }
    if (auto done = write_file(arguments.output, as_view(*pem)); !done) return std::move(done).error();
    return 0;
}

Result<int> import_certificate(const KeyArguments& arguments, const Settings& settings, std::ostream& out) {
    const auto certificates = pki::load_certificates(arguments.file);
    if (!certificates) return certificates.error();
    auto token = open_token(settings);
    if (!token) return std::move(token).error();
    const auto& certificate = certificates->front();
    if (auto done = (*token)->store_certificate(arguments.label, certificate); !done)
        return std::move(done).error();
    out << "put the certificate of " << certificate.subject_text() << " beside the key '" << arguments.label
        << "'\n";
    return 0;
}

}  // namespace

Result<std::unique_ptr<Token>> open_token(const Settings& settings) {
    auto pin = read_secret_file(settings.pin_file);
    if (!pin) return std::move(pin).error();
    auto module = Module::load(settings.module);
    if (!module) return std::move(module).error();
    return Token::open(std::move(*module), {settings.token, std::move(*pin), settings.sessions});
}

Done initialise_token(const Settings& settings, const std::string& so_pin_file) {
    const auto pin = read_secret_file(settings.pin_file);
    if (!pin) return pin.error();
    const auto so_pin = read_secret_file(so_pin_file);
    if (!so_pin) return so_pin.error();
    auto module = Module::load(settings.module);
    if (!module) return std::move(module).error();
    return initialise_token(*module, settings.token, *so_pin, *pin);
}

Result<std::string> make_csr(Token& token, const std::string& label, const std::string& subject,
                             Purpose purpose) {
    const auto name = parse_subject(subject);
    if (!name) return name.error();
    const auto key = as_botan_key(token, label);
    if (!key) return key.error();
    try {
        Botan::AutoSeeded_RNG rng;
        Botan::Extensions extensions;
        extensions.add(new Botan::Cert_Extension::Key_Usage(
                           Botan::Key_Constraints(Botan::DIGITAL_SIGNATURE | Botan::NON_REPUDIATION)),
                       true);
        if (purpose == Purpose::time_stamping)
            extensions.add(
                new Botan::Cert_Extension::Extended_Key_Usage({Botan::OID::from_string("PKIX.TimeStamping")}),
                true);
        return Botan::PKCS10_Request::create(**key, *name, extensions, "SHA-512", rng).PEM_encode();
    } catch (const Botan::Exception& fault) {
        return Error::environment("key '" + label + "': no certificate request: " + fault.what());
    }
}

Result<std::string> keys_json(const Token& token) {
    const auto keys = token.keys();
    if (!keys) return keys.error();
    json all = json::array();
    for (const auto& key : *keys) {
        json certificates = json::array();
        for (const auto& one : key.certificates)
            certificates.push_back({{"subject", one.subject_text()},
                                    {"serial", to_hex(one.serial())},
                                    {"not_after", to_rfc3339(one.not_after(), 0)}});
        all.push_back({{"label", key.label},
                       {"id", to_hex(key.id)},
                       {"bits", key.bits},
                       {"sensitive", key.sensitive},
                       {"extractable", key.extractable},
                       {"certificates", certificates}});
    }
    return all.dump();
}

std::string keys_text(const std::string& text) {
    const auto keys = json::parse(text, nullptr, false);
    if (!keys.is_array() || keys.empty()) return "no keys\n";
    std::string out;
    for (const auto& key : keys) {
        const bool safe = key.value("sensitive", false) && !key.value("extractable", true);
        out +=
            key.value("label", "") + ": RSA " + std::to_string(key.value("bits", 0)) + " bits, id " +
            key.value("id", "") +
            (safe ? ", never leaves the token\n" : ", NOT PROTECTED (sensitive or extractable set wrong)\n");
        for (const auto& one : key.value("certificates", json::array()))
            out += "  certificate of " + one.value("subject", "") + " until " + one.value("not_after", "") +
                   '\n';
    }
    return out;
}

void add_key_commands(CLI::App& key, KeyArguments& arguments, Purpose purpose,
                      const std::function<void(KeyAction)>& choose) {
    const auto add = [&](const char* name, const char* help, const std::function<void(CLI::App&)>& options,
                         KeyAction action) {
        auto* command = key.add_subcommand(name, help);
        command->add_option("LABEL", arguments.label, "label of the key in the token")->required();
        options(*command);
        command->callback([choose, action = std::move(action)] {
            choose([action](const Settings& settings, std::ostream& out) {
                apply_environment(settings);
                return action(settings, out);
            });
        });
    };
    add(
        "generate", "make an RSA key pair in the HSM; it never leaves it",
        [&](CLI::App& command) {
            command.add_option("--bits", arguments.bits, "2048, 3072 or 4096")
                ->check(CLI::IsMember({2048U, 3072U, 4096U}))
                ->capture_default_str();
        },
        [&arguments](const Settings& settings, std::ostream& out) {
            return generate(arguments, settings, out);
        });
    add(
        "csr", "write a certificate request (PKCS#10), signed in the HSM",
        [&](CLI::App& command) {
            command.add_option("--subject", arguments.subject, "e.g. \"C=JP,O=Example,CN=TSU 1\"")
                ->required();
            command.add_option("-o,--output", arguments.output, "where to write (default: the terminal)");
        },
        [&arguments, purpose](const Settings& settings, std::ostream& out) {
            return csr(arguments, purpose, settings, out);
        });
    add(
        "import", "put the certificate beside its key in the HSM",
        [&](CLI::App& command) {
            command.add_option("FILE", arguments.file, "the certificate (PEM)")->required();
        },
        [&arguments](const Settings& settings, std::ostream& out) {
            return import_certificate(arguments, settings, out);
        });
}

}  // namespace kokuin::hsm
