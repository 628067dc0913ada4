#include "hsm/custody/share.h"

#include "base/json_text.h"
#include "hsm/custody/papers/json.h"
#include "pki/hash.h"

namespace kokuin::hsm::custody {
namespace {

/// Over everything but itself: tells damage from a wrong passphrase. What protects is in the boxes.
std::string digest_of(const Json& json) {
    return to_hex(pki::digest(pki::Hash::sha256, as_view(dump(json))));
}

Bytes seed_context(const ShareFile& file) {
    const auto text = "kokuin custodian 1 " + file.custodian + " " + to_hex(file.keys.signing) + " " +
                      to_hex(file.keys.sealing);
    return Bytes(text.begin(), text.end());
}

/// As Roster::share_context(), of the file's own generation.
Bytes own_context(const ShareFile& file) {
    Roster roster;
    roster.ceremony = file.ceremony;
    roster.generation = file.generation;
    roster.token = file.token;
    roster.threshold = file.threshold;
    roster.custodians.resize(file.custodians);
    return roster.share_context(file.custodian);
}

/// Both shares of a box; nothing if it isn't this custodian's, or was changed.
std::optional<Share> open_shares(View seed, const Box& box, const Bytes& context) {
    const auto joined = open_box(seed, box, context);
    if (!joined) return std::nullopt;
    auto both = part(joined->view());
    if (!both) return std::nullopt;
    return Share{std::move(both->first), std::move(both->second)};
}

Error changed() {
    return Error::usage("was changed: take the custodian's other copy");
}

}  // namespace

std::string ShareFile::to_json() const {
    Json json{{"kokuin", "custodian share"},
              {"version", 1},
              {"ceremony", ceremony},
              {"generation", generation},
              {"token", token},
              {"threshold", threshold},
              {"custodians", custodians},
              {"custodian", custodian},
              {"signing_key", to_hex(keys.signing)},
              {"sealing_key", to_hex(keys.sealing)},
              {"seed",
               {{"kdf", "Argon2id"},
                {"memory_kib", seed.memory_kib},
                {"passes", seed.passes},
                {"lanes", seed.lanes},
                {"salt", to_hex(seed.salt)},
                {"cipher", "AES-256-GCM"},
                {"nonce", to_hex(seed.nonce)},
                {"sealed", to_hex(seed.sealed)}}}};
    if (share) json["share"] = box_json(*share);
    json["sha256"] = digest_of(json);
    return dump(json, 2) + '\n';
}

Result<ShareFile> ShareFile::from_json(std::string_view text) {
    auto json = parse_ordered_json(text);
    Members members(json);
    if (members.text("kokuin") != "custodian share") return Error::usage("is no custodian's share");
    if (members.number("version", 1'000'000) != 1)
        return Error::usage(
            "is a custodian's share that this program can't read; use the one it was made with, or newer");
    const auto digest = members.text("sha256");
    ShareFile file;
    file.ceremony = members.text("ceremony");
    file.generation = members.number("generation", 1'000'000);
    file.token = members.text("token");
    file.threshold = members.number("threshold", most_custodians);
    file.custodians = members.number("custodians", most_custodians);
    file.custodian = members.text("custodian");
    file.keys = {members.octets("signing_key", 32), members.octets("sealing_key", 32)};
    Members seed(members.object("seed"));
    file.seed = {seed.number("memory_kib", UINT32_MAX),
                 seed.number("passes", UINT32_MAX),
                 seed.number("lanes", UINT32_MAX),
                 seed.octets("salt"),
                 seed.octets("nonce"),
                 seed.octets("sealed")};
    const bool known = seed.text("kdf") == "Argon2id" && seed.text("cipher") == "AES-256-GCM";
    const bool joined_later = file.generation == 0;
    auto share = joined_later ? std::nullopt : box_from(members.object("share"));
    json.erase("sha256");
    if (!members.ok() || !seed.ok() || !known || (!share && !joined_later) ||
        !is_custodian_name(file.custodian) || file.ceremony.size() != 32 || !from_hex(file.ceremony) ||
        digest != digest_of(json))
        return Error::usage("is damaged: take the custodian's other copy");
    file.share = std::move(share);
    return file;
}

ShareFile make_share_file(const Roster& roster, const std::string& custodian, View seed, View passphrase,
                          const Share& share) {
    ShareFile file;
    file.ceremony = roster.ceremony;
    file.generation = roster.generation;
    file.token = roster.token;
    file.threshold = roster.threshold;
    file.custodians = static_cast<unsigned>(roster.custodians.size());
    file.custodian = custodian;
    file.keys = public_keys(seed);
    file.seed = lock(seed, passphrase, seed_context(file));
    file.share = seal_for(file.keys.sealing, join(share.pin.view(), share.officer.view()).view(),
                          roster.share_context(custodian));
    return file;
}

ShareFile make_joining_file(const Roster& roster, const std::string& custodian, View seed, View passphrase) {
    ShareFile file;
    file.ceremony = roster.ceremony;
    file.token = roster.token;
    file.custodian = custodian;
    file.keys = public_keys(seed);
    file.seed = lock(seed, passphrase, seed_context(file));
    return file;
}

Result<Share> share_in(const Roster& roster, const OpenShare& open) {
    const auto& file = open.file;
    const auto* me = roster.find(file.custodian);
    if (me && me->share && me->keys == file.keys) {
        auto share = open_shares(open.seed.view(), *me->share, roster.share_context(file.custodian));
        if (!share) return changed();
        return std::move(*share);
    }
    if (me && !me->share && file.share && file.generation == roster.generation &&
        file.ceremony == roster.ceremony)
        return Share{Secret(open.share.pin.view()), Secret(open.share.officer.view())};
    return Error::no("has no share of generation " + std::to_string(roster.generation) + " of its ceremony");
}

std::string Card::to_json() const {
    return dump({{"kokuin", "custodian"},
                 {"version", 1},
                 {"ceremony", ceremony},
                 {"custodian", custodian},
                 {"signing_key", to_hex(keys.signing)},
                 {"sealing_key", to_hex(keys.sealing)}},
                2) +
           '\n';
}

Result<Card> Card::from_json(std::string_view text) {
    const auto json = parse_ordered_json(text);
    Members members(json);
    const bool known = members.text("kokuin") == "custodian" && members.number("version", 1) == 1;
    Card card{members.text("ceremony"),
              members.text("custodian"),
              {members.octets("signing_key", 32), members.octets("sealing_key", 32)}};
    if (!known || !members.ok() || !is_custodian_name(card.custodian))
        return Error::usage("is no custodian's card; it is made with: ceremony join");
    return card;
}

Result<OpenShare> open_share_file(ShareFile file, View passphrase) {
    auto seed = unlock(file.seed, passphrase, seed_context(file));
    if (!seed) return std::move(seed).error();

    if (seed->view().size() != seed_octets || public_keys(seed->view()) != file.keys) return changed();
    if (!file.share) return OpenShare{std::move(file), std::move(*seed), {}};
    auto share = open_shares(seed->view(), *file.share, own_context(file));
    if (!share) return changed();
    return OpenShare{std::move(file), std::move(*seed), std::move(*share)};
}

}  // namespace kokuin::hsm::custody
