#include "ca/commands.h"

#include <unistd.h>

#include <iostream>
#include <nlohmann/json.hpp>

#include "base/account.h"
#include "base/file.h"
#include "base/json_text.h"
#include "base/text.h"
#include "ca/acts.h"
#include "ca/publish.h"

namespace kokuin::ca {
namespace {

using Json = nlohmann::ordered_json;
using hsm::custody::Session;

constexpr std::size_t largest_request = 64U << 10U;

int tell(const Json& made, const std::string& text, bool as_json, std::ostream& out) {
    if (as_json)
        out << json_text(made) << '\n';
    else
        out << text << '\n';
    return 0;
}

Result<Who> who_of(const Arguments& arguments) {
    if (auto done = check_why_and_by(arguments.why, arguments.by); !done) return std::move(done).error();
    return Who{arguments.why, arguments.by, account_text(::geteuid())};
}

/// Opens the token for `what`, does `act` with it, closes it.
template <typename T, typename Act>
Result<T> with_token(const Settings& settings, const Arguments& arguments, Books& books,
                     const std::string& what, bool as_json, std::ostream& out, Act act) {
    // With --json stdout is a program's; custodians see what they sign all the same.
    auto& told = as_json ? std::cerr : out;
    // Everything that is signed carries it, and a clock that was ahead once makes all later commands refuse.
    told << "By this machine's clock it is " << to_rfc3339(books.now(), 0) << std::endl;
    auto session =
        Session::open({settings.hsm, "tsca", settings.archive, settings.digest, one_line(what, 1000),
                       [&books](const store::Event& event, const std::vector<store::Blob>& blobs) {
                           return books.record(event, blobs);
                       }},
                      arguments.session, told);
    if (!session) return std::move(session).error();
    Result<T> outcome = act(**session);
    if (auto done = (*session)->close(); !done && outcome) return std::move(done).error();
    return outcome;
}

Json in_json(const Issued& one, WallTime now) {
    const auto& certificate = one.certificate;
    Json json{{"serial", one.serial},
              {"profile", name(one.profile)},
              {"subject", certificate.subject_text()},
              {"state", one.revoked       ? "revoked"
                        : one.living(now) ? "good"
                                          : "ended"},
              {"not_before", to_rfc3339(certificate.not_before(), 0)},
              {"not_after", to_rfc3339(certificate.not_after(), 0)},
              {"issued_at", to_rfc3339(one.at, 0)},
              {"why", one.why},
              {"by", one.by},
              {"successor_of", one.successor_of.empty() ? Json() : Json(one.successor_of)},
              {"revoked_at", one.revoked ? Json(to_rfc3339(one.revoked->at, 0)) : Json()},
              {"reason", one.revoked ? Json(pki::name(one.revoked->reason)) : Json()}};
    return json;
}

std::string state_text(const Issued& one, WallTime now) {
    if (one.revoked)
        return "REVOKED since " + to_rfc3339(one.revoked->at, 0) + " (" +
               std::string(pki::name(one.revoked->reason)) + ")";
    return (one.living(now) ? "good until " : "ended on ") + to_rfc3339(one.certificate.not_after(), 0);
}

std::string in_words(const Issued& one, WallTime now) {
    return one.serial + "  " + std::string(name(one.profile)) + "  " +
           one_line(one.certificate.subject_text(), any_length) + "  " + state_text(one, now);
}

Done write_out(const std::string& path, const pki::Certificate& certificate) {
    return write_file(path, as_view(certificate.pem()));
}

/// A place for a certificate that is still to be made: looked at before anybody has typed anything.
Done check_output(const std::string& path) {
    if (::access(path.c_str(), F_OK) == 0)
        return Error::usage(path + ": is there already; give another --output");
    if (auto done = write_file(path, View()); !done) return done;
    ::unlink(path.c_str());
    return {};
}

int tell_issued(const Issued& one, const std::string& file, bool as_json, std::ostream& out) {
    Json json{{"made", "certificate"}};
    json.update(in_json(one, one.at));
    std::string text = "issued " + std::string(name(one.profile)) + " certificate " + one.serial + " for " +
                       one_line(one.certificate.subject_text(), any_length) + ", until " +
                       to_rfc3339(one.certificate.not_after(), 0);
    if (!file.empty()) {
        json["file"] = file;
        text += ": " + file;
    }
    return tell(json, text, as_json, out);
}

/// Plans, lets custodians open the token, signs, records and writes it out.
Result<Issued> certify(const Settings& settings, const Arguments& arguments, Books& books, const Order& order,
                       const Who& who, bool as_json, std::ostream& out) {
    const bool own = order.profile == Profile::root || order.profile == Profile::issuing;
    if (!own) {
        const auto plan = make_plan(settings, books.what_was(), order, View(), books.now());
        if (!plan) return plan.error();
        return with_token<Issued>(
            settings, arguments, books, plan->text, as_json, out,
            [&](Session& session) { return carry_out(books, session.token(), settings, *plan, order, who); });
    }
    // Of a CA's own key the token must be asked; all else is tried first, with a key nobody has.
    const auto& ca = order.profile == Profile::root ? settings.root : settings.issuing;
    if (const auto plan = make_plan(settings, books.what_was(), order, View(), books.now()); !plan)
        return plan.error();
    const auto text = "the certificate '" + std::string(name(order.profile)) + "' for " + ca.subject +
                      " with the key '" + ca.key + "'";
    return with_token<Issued>(
        settings, arguments, books, text, as_json, out, [&](Session& session) -> Result<Issued> {
            const auto key = session.token().find_key(ca.key, hsm::KeyAlgorithm::rsa);
            if (!key) {
                if (key.error().kind != Error::Kind::no) return key.error();
                return Error::no(key.error().text + "; make it with: tsca key generate " + ca.key);
            }
            const auto plan = make_plan(settings, books.what_was(), order, key->spki(), books.now());
            if (!plan) return plan.error();
            return carry_out(books, session.token(), settings, *plan, order, who);
        });
}

}  // namespace

hsm::custody::Site site_of(const Settings& settings) {
    hsm::custody::Site site;
    site.hsm = settings.hsm;
    site.program = "tsca";
    site.tool = "tsca";
    site.archive = settings.archive;
    site.settings = settings.digest;
    site.books = [archive = settings.archive](std::ostream& people) -> Result<hsm::custody::Site::Record> {
        static const SystemWallClock clock;
        auto opened = Books::open(archive, clock);
        if (!opened) return std::move(opened).error();
        const std::shared_ptr<Books> books = std::move(*opened);
        people << "now: " << to_rfc3339(books->now(), 0) << std::endl;
        return hsm::custody::Site::Record(
            [books](const store::Event& event, const std::vector<store::Blob>& blobs) {
                return books->record(event, blobs);
            });
    };
    return site;
}

Result<int> init_archive(const Settings& settings, bool as_json, std::ostream& out) {
    if (auto done = store::Archive::create(settings.archive, SystemWallClock().now()); !done)
        return std::move(done).error();
    return tell({{"made", "archive"}, {"dir", settings.archive}},
                "made an empty archive in " + settings.archive, as_json, out);
}

Result<int> key_generate(const Settings& settings, const Arguments& arguments, bool as_json,
                         std::ostream& out) {
    const auto who = who_of(arguments);
    if (!who) return who.error();
    if (arguments.label != settings.root.key && arguments.label != settings.issuing.key)
        return Error::usage("'" + arguments.label + "' is none of the keys of the configuration: '" +
                            settings.root.key + "' ([root]), '" + settings.issuing.key + "' ([issuing])");
    const SystemWallClock clock;
    const auto books = Books::open(settings.archive, clock);
    if (!books) return books.error();
    const auto key =
        with_token<hsm::Key>(settings, arguments, **books,
                             "a new key '" + arguments.label + "', RSA " + std::to_string(arguments.bits),
                             as_json, out, [&](Session& session) {
                                 return generate_key(**books, session.token(), arguments.label,
                                                     arguments.bits, session.custodians(), *who);
                             });
    if (!key) return key.error();
    return tell({{"made", "key"}, {"label", key->label()}, {"bits", key->bits()}, {"id", to_hex(key->id())}},
                "made the key '" + key->label() + "', RSA " + std::to_string(key->bits()) + " bits, id " +
                    to_hex(key->id()),
                as_json, out);
}

Result<int> make_ca(Profile profile, const Settings& settings, const Arguments& arguments, bool as_json,
                    std::ostream& out) {
    const auto who = who_of(arguments);
    if (!who) return who.error();
    const SystemWallClock clock;
    const auto books = Books::open(settings.archive, clock);
    if (!books) return books.error();
    Order order;
    order.profile = profile;
    const auto made = certify(settings, arguments, **books, order, *who, as_json, out);
    if (!made) return made.error();
    return tell_issued(*made, "", as_json, out);
}

Result<int> issue(const Settings& settings, const Arguments& arguments, bool as_json, std::ostream& out) {
    const auto who = who_of(arguments);
    if (!who) return who.error();
    Order order;
    const auto profile = profile_from_name(arguments.profile);
    if (!profile || *profile == Profile::root || *profile == Profile::issuing)
        return Error::usage("--profile '" + arguments.profile +
                            "' isn't one; allowed: tsu, taa, archive, tls-server, tls-client, channel, ocsp");
    order.profile = *profile;
    if (arguments.days > 0)
        order.validity = std::chrono::hours(24) * static_cast<std::int64_t>(arguments.days);
    if (!arguments.successor_of.empty()) {
        order.successor_of = serial_text_of(arguments.successor_of);
        if (order.successor_of.empty())
            return Error::usage("--successor-of '" + arguments.successor_of + "' is no serial number (hex)");
    }
    const auto octets = read_file(arguments.csr, largest_request);
    if (!octets) return octets.error();
    auto request = pki::CertificationRequest::read(*octets);
    if (!request) return std::move(request).error().in(arguments.csr);
    order.request = std::move(*request);
    if (auto done = check_output(arguments.output); !done) return std::move(done).error();
    const SystemWallClock clock;
    const auto books = Books::open(settings.archive, clock);
    if (!books) return books.error();
    const auto made = certify(settings, arguments, **books, order, *who, as_json, out);
    if (!made) return made.error();
    if (auto done = write_out(arguments.output, made->certificate); !done)
        return Error::environment("the certificate " + made->serial +
                                  " is issued, but: " + done.error().text + "; get it with: tsca show " +
                                  made->serial + " -o FILE");
    return tell_issued(*made, arguments.output, as_json, out);
}

Result<int> revoke(const Settings& settings, const Arguments& arguments, bool as_json, std::ostream& out) {
    const auto who = who_of(arguments);
    if (!who) return who.error();
    const auto reason = pki::reason_from_name(arguments.reason);
    if (!reason || *reason == pki::Reason::certificate_hold)
        return Error::usage(
            "--reason '" + arguments.reason +
            "' isn't one; allowed: unspecified, keyCompromise, CACompromise, affiliationChanged, superseded, "
            "cessationOfOperation, privilegeWithdrawn, AACompromise");
    const auto serial = serial_text_of(arguments.serial);
    if (serial.empty()) return Error::usage("'" + arguments.serial + "' is no serial number (hex)");
    const SystemWallClock clock;
    const auto books = Books::open(settings.archive, clock);
    if (!books) return books.error();
    const auto revoked = ca::revoke(**books, serial, *reason, *who);
    if (!revoked) return revoked.error();
    Json json{{"made", "revocation"}};
    json.update(in_json(*revoked, (*books)->now()));
    return tell(json,
                "revoked " + in_words(*revoked, (*books)->now()) +
                    "\nNobody knows it yet: publish now, and bring the folder to the repository.",
                as_json, out);
}

Result<int> publish(const Settings& settings, const Arguments& arguments, bool as_json, std::ostream& out) {
    const auto who = who_of(arguments);
    if (!who) return who.error();
    if (auto done = check_folder(arguments.folder); !done) return std::move(done).error();
    const SystemWallClock clock;
    const auto books = Books::open(settings.archive, clock);
    if (!books) return books.error();
    const auto& what_was = (*books)->what_was();
    std::size_t revoked = 0;
    for (const auto& one : what_was.issued) revoked += one.revoked ? 1 : 0;
    const auto made = with_token<Publication>(
        settings, arguments, **books,
        "CRLs and OCSP responses about " + std::to_string(what_was.issued.size()) + " certificates, " +
            std::to_string(revoked) + " of them revoked",
        as_json, out, [&](Session& session) {
            return ca::publish(**books, session.token(), settings, arguments.folder, *who);
        });
    if (!made) return made.error();
    return tell({{"made", "publication"},
                 {"folder", arguments.folder},
                 {"root_crl", made->root_crl},
                 {"issuing_crl", made->issuing_crl},
                 {"root_next_update", to_rfc3339(made->root_next, 0)},
                 {"issuing_next_update", to_rfc3339(made->issuing_next, 0)},
                 {"certificates", made->certificates},
                 {"revoked", made->revoked}},
                "published " + arguments.folder + ": " + std::to_string(made->certificates) +
                    " certificates, " + std::to_string(made->revoked) + " of them revoked; CRLs " +
                    std::to_string(made->root_crl) + " (root) and " + std::to_string(made->issuing_crl) +
                    " (issuing). Publish again before " +
                    to_rfc3339(std::min(made->root_next, made->issuing_next), 0),
                as_json, out);
}

Result<int> list(const Settings& settings, bool as_json, std::ostream& out) {
    const auto what_was = look_into(settings.archive);
    if (!what_was) return what_was.error();
    const auto now = SystemWallClock().now();
    for (const auto& one : what_was->issued) tell(in_json(one, now), in_words(one, now), as_json, out);
    return 0;
}

Result<int> show(const Settings& settings, const Arguments& arguments, bool as_json, std::ostream& out) {
    const auto serial = serial_text_of(arguments.serial);
    if (serial.empty()) return Error::usage("'" + arguments.serial + "' is no serial number (hex)");
    const auto what_was = look_into(settings.archive);
    if (!what_was) return what_was.error();
    const auto* one = what_was->find(serial);
    if (!one) return Error::no("nothing of the serial " + serial + " was issued; tsca list shows what was");
    if (!arguments.output.empty())
        if (auto done = write_out(arguments.output, one->certificate); !done) return std::move(done).error();
    const auto now = SystemWallClock().now();
    auto json = in_json(*one, now);
    json["revoked_why"] = one->revoked ? Json(one->revoked->why) : Json();
    json["revoked_by"] = one->revoked ? Json(one->revoked->by) : Json();
    std::string text =
        in_words(*one, now) + "\n  issued " + to_rfc3339(one->at, 0) + " by " + one->by + ": " + one->why;
    if (!one->successor_of.empty()) text += "\n  successor of " + one->successor_of;
    if (one->revoked) text += "\n  revoked by " + one->revoked->by + ": " + one->revoked->why;
    if (arguments.output.empty()) {
        const auto pem = one->certificate.pem();
        json["pem"] = pem;
        text += "\n" + pem.substr(0, pem.size() - 1);
    }
    return tell(json, text, as_json, out);
}

}  // namespace kokuin::ca
