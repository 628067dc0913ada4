#include "hsm/token.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <mutex>

#include "base/der.h"
#include "base/text.h"
#include "hsm/connection.h"
#include "hsm/objects.h"
#include "hsm/recovery.h"
#include "pki/certificate.h"

namespace kokuin::hsm {
namespace {

constexpr std::array algorithms{std::pair{KeyAlgorithm::rsa, std::string_view("RSA")},
                                std::pair{KeyAlgorithm::ed25519, std::string_view("Ed25519")}};

}  // namespace

std::string_view name(KeyAlgorithm algorithm) {
    return algorithms.at(static_cast<std::size_t>(algorithm)).second;
}

std::optional<KeyAlgorithm> key_algorithm(std::string_view name) {
    const auto same = [](unsigned char a, unsigned char b) { return std::tolower(a) == std::tolower(b); };
    for (const auto& [algorithm, its] : algorithms)
        if (std::equal(its.begin(), its.end(), name.begin(), name.end(), same)) return algorithm;
    return std::nullopt;
}

std::optional<KeyAlgorithm> algorithm_of(View spki) {
    const auto measure = measure_of(spki);
    return measure ? std::optional(measure->algorithm) : std::nullopt;
}

struct Key::Content {
    std::string label;
    Bytes id;
    KeyAlgorithm algorithm;
    unsigned bits;
    Bytes spki;
    std::string name;  // of its handle in a Connection
};

const std::string& Key::label() const {
    return content_->label;
}
const Bytes& Key::id() const {
    return content_->id;
}
KeyAlgorithm Key::algorithm() const {
    return content_->algorithm;
}
unsigned Key::bits() const {
    return content_->bits;
}
const Bytes& Key::spki() const {
    return content_->spki;
}

namespace {

// What stands between two lines of PKCS#11: the connection, a session of it and the right to call.
struct Use {
    std::shared_ptr<Connection> connection;
    Connection::Lease lease;
    ModuleCall call;
    [[nodiscard]] CK_SESSION_HANDLE session() const { return lease.session(); }
};

constexpr seconds hanging{5};
constexpr std::size_t ed25519_signature = 64;

CK_KEY_TYPE key_type(KeyAlgorithm algorithm) {
    return algorithm == KeyAlgorithm::rsa ? CKK_RSA : CKK_EC_EDWARDS;
}

std::string handle_name(const std::string& label, View id) {
    return label + '\0' + as_text(id);
}

}  // namespace

struct Token::Impl {
    std::string description;
    std::atomic<unsigned> signing{0};
    std::mutex inside_mutex;
    std::multiset<MonoTime> inside;  // since when each signature is in the module
    std::mutex mutex;
    std::vector<std::shared_ptr<const Key::Content>> known;  // found again after a loss
    std::unique_ptr<Recovery> recovery;  // last: its thread uses what stands above until it ends

    // `first`: null for a locked token.
    static std::unique_ptr<Impl> make(std::shared_ptr<Module> module, TokenOptions options, Locator locator,
                                      std::shared_ptr<Connection> first, Secret pin);
    Result<Use> use();
    // The error of a failed call, after telling the recovery if it means a loss.
    Error failed(const std::shared_ptr<Connection>& connection, CK_RV rv, const std::string& tried);
    // The error of a key that is of one algorithm where another is wanted.
    [[nodiscard]] Error wrong_key(const std::string& label, KeyAlgorithm is, KeyAlgorithm wanted) const;
    // Finds the handle of a key that has been known before; CKR_OK and nothing if the token hasn't got it
    // (any more).
    static Result<std::optional<CK_OBJECT_HANDLE>, CK_RV> resolve(const ModuleCall& call,
                                                                  CK_SESSION_HANDLE session,
                                                                  const Key::Content& key);
    Done find_again(Connection& connection);
    Result<Key> key_of(const Use& use, CK_OBJECT_HANDLE object, const std::string& tried);
    // The Key of this content, found again from now on.
    Key keep(std::shared_ptr<const Key::Content> content);
    // How a new key's parameters are named to the token.
    using Naming = std::function<void(Template&)>;
    // `names`: the first that the token takes.
    Result<Key> generate(const Use& use, const std::string& label, const std::string& tried,
                         CK_MECHANISM_TYPE mechanism, const std::vector<Naming>& names);
    // `key` is of the mechanism's algorithm.
    Result<Bytes> sign(const Use& use, const Key::Content& key, CK_MECHANISM_TYPE with, View message);
};

/// A caller of sign().
struct Token::Counted {
    Impl& of;
    explicit Counted(Impl& impl) : of(impl) { ++of.signing; }
    Counted(const Counted&) = delete;
    Counted& operator=(const Counted&) = delete;
    ~Counted() { --of.signing; }
};

/// A signature that is in the module.
struct Token::Inside {
    Impl& of;
    std::multiset<MonoTime>::iterator at;
    explicit Inside(Impl& impl) : of(impl) {
        const std::lock_guard lock(of.inside_mutex);
        at = of.inside.insert(SystemMonoClock().now());
    }
    Inside(const Inside&) = delete;
    Inside& operator=(const Inside&) = delete;
    ~Inside() {
        const std::lock_guard lock(of.inside_mutex);
        of.inside.erase(at);
    }
};

Result<Use> Token::Impl::use() {
    auto connection = recovery->connection();
    if (!connection) return std::move(connection).error();
    const milliseconds wait = recovery->options().wait_for_session;
    auto lease = (*connection)->borrow(wait);
    if (!lease) {
        auto now = recovery->connection();
        if (!now) return std::move(now).error();
        if ((*connection)->abandoned())
            return Error::environment(description + ": was lost while waiting for a session; try again");
        return Error::environment(description + ": all its sessions were busy for " +
                                  std::to_string(wait.count()) + " ms; the HSM is overloaded or hangs");
    }
    auto call = (*connection)->enter();
    if (!call) {
        recovery->lost(*connection, "the module was initialised anew");
        return Error::environment(description + ": its module is being initialised anew; try again");
    }
    return Use{std::move(*connection), std::move(*lease), std::move(*call)};
}

Error Token::Impl::failed(const std::shared_ptr<Connection>& connection, CK_RV rv, const std::string& tried) {
    Error error = failure(rv, description + ": " + tried);
    if (is_loss(rv)) recovery->lost(connection, failure(rv, tried).text);
    return error;
}

Error Token::Impl::wrong_key(const std::string& label, KeyAlgorithm is, KeyAlgorithm wanted) const {
    return Error::usage(description + ": the key '" + label + "' is an " + std::string(hsm::name(is)) +
                        " key, and an " + std::string(hsm::name(wanted)) +
                        " key is needed; name another one");
}

Result<std::optional<CK_OBJECT_HANDLE>, CK_RV> Token::Impl::resolve(const ModuleCall& call,
                                                                    CK_SESSION_HANDLE session,
                                                                    const Key::Content& key) {
    Template attributes;
    attributes.number(CKA_CLASS, CKO_PRIVATE_KEY).number(CKA_KEY_TYPE, key_type(key.algorithm));
    attributes.text(CKA_LABEL, key.label);
    if (!key.id.empty()) attributes.octets(CKA_ID, key.id);  // not known of an expected key
    const auto found = find_objects(call, session, attributes);
    if (!found) return found.error();
    for (const CK_OBJECT_HANDLE object : *found) {
        // Same name, other key: a token that was made anew, or a foreign one.
        const auto half = read_public_half(call, session, object);
        if (!half) return half.error();
        if (equal(half->spki, key.spki)) return std::optional<CK_OBJECT_HANDLE>(object);
    }
    return std::optional<CK_OBJECT_HANDLE>();
}

Done Token::Impl::find_again(Connection& connection) {
    const auto lease = connection.borrow(milliseconds{0});
    const auto call = connection.enter();
    if (!lease || !call) return Error::environment(description + ": its module is being initialised anew");
    std::vector<std::shared_ptr<const Key::Content>> keys;
    {
        const std::lock_guard lock(mutex);
        keys = known;
    }
    for (const auto& key : keys) {
        const auto handle = resolve(*call, lease->session(), *key);
        if (!handle) return failure(handle.error(), description + ": finding key '" + key->label + "' again");
        // A key that is gone fails when it is used; the others go on.
        if (*handle) connection.remember(key->name, **handle);
    }
    return {};
}

Result<Key> Token::Impl::key_of(const Use& use, CK_OBJECT_HANDLE object, const std::string& tried) {
    AttributeReader reader(use.call, use.session(), object);
    auto content = std::make_shared<Key::Content>();
    content->label = reader.text(CKA_LABEL);
    content->id = reader.octets(CKA_ID);
    if (reader.outcome() != CKR_OK) return failed(use.connection, reader.outcome(), tried);
    auto half = read_public_half(use.call, use.session(), object);
    if (!half) return failed(use.connection, half.error(), tried);
    content->spki = std::move(half->spki);
    if (content->spki.empty())
        return Error::environment(
            description + ": " + tried +
            ": the token doesn't tell its public half; store the public key object with the same "
            "label and id");
    const auto measure = measure_of(content->spki);
    if (!measure) return Error{measure.error()}.in(description + ": " + tried);
    content->algorithm = measure->algorithm;
    content->bits = measure->bits;
    content->name = handle_name(content->label, content->id);
    use.connection->remember(content->name, object);
    return keep(std::move(content));
}

Key Token::Impl::keep(std::shared_ptr<const Key::Content> content) {
    const std::lock_guard lock(mutex);
    const auto same = [&](const auto& other) { return other->name == content->name; };
    const auto at = std::find_if(known.begin(), known.end(), same);
    if (at == known.end())
        known.push_back(content);
    else
        *at = content;
    return Key(std::move(content));
}

Token::Token(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Token::~Token() = default;

Result<std::unique_ptr<Token>> Token::open(TokenOptions options) {
    auto module = Module::load(options.module_path, options.module_parameters);
    if (!module) return std::move(module).error();
    return open(std::move(options), std::move(*module));
}

namespace {

/// What is wrong with these options, whatever the token says; the locator of the token otherwise.
Result<Locator> check(const TokenOptions& options) {
    if (options.sessions < 1 || options.sessions > 256)
        return Error::usage("token '" + options.token + "': sessions must be 1 to 256, not " +
                            std::to_string(options.sessions));
    if (options.probe_interval < milliseconds{1} || options.retry_first < milliseconds{1} ||
        options.retry_most < options.retry_first)
        return Error::usage("token '" + options.token +
                            "': probe_interval and retry_first must be at least 1 ms, retry_most not below "
                            "retry_first");
    return Locator::parse(options.token);
}

}  // namespace

Result<std::unique_ptr<Token>> Token::open(TokenOptions options, std::shared_ptr<Module> module) {
    if (!module) return Error::usage("token '" + options.token + "': no PKCS#11 module is given");
    auto locator = check(options);
    if (!locator) return std::move(locator).error();
    auto pin = std::move(options.pin);
    auto first = Connection::open(module, options, *locator, pin.view());
    if (!first) return std::move(std::move(first).error().error).in("PKCS#11 module " + module->path());
    return std::unique_ptr<Token>(new Token(Impl::make(
        std::move(module), std::move(options), std::move(*locator), std::move(*first), std::move(pin))));
}

Result<std::unique_ptr<Token>> Token::open_locked(TokenOptions options) {
    auto module = Module::load(options.module_path, options.module_parameters);
    if (!module) return std::move(module).error();
    return open_locked(std::move(options), std::move(*module));
}

Result<std::unique_ptr<Token>> Token::open_locked(TokenOptions options, std::shared_ptr<Module> module) {
    auto locator = check(options);
    if (!locator) return std::move(locator).error();
    options.pin = Secret();
    return std::unique_ptr<Token>(
        new Token(Impl::make(std::move(module), std::move(options), std::move(*locator), nullptr, Secret())));
}

std::unique_ptr<Token::Impl> Token::Impl::make(std::shared_ptr<Module> module, TokenOptions options,
                                               Locator locator, std::shared_ptr<Connection> first,
                                               Secret pin) {
    auto impl = std::make_unique<Impl>();
    impl->description = first ? "token '" + first->token().label + "' (serial " + first->token().serial + ")"
                              : "token '" + options.token + "'";
    impl->recovery = std::make_unique<Recovery>(
        std::move(module), std::move(options), std::move(locator), std::move(first), std::move(pin),
        [state = impl.get()](Connection& made) { return state->find_again(made); });
    return impl;
}

Done Token::unlock(Secret pin) {
    return impl_->recovery->unlock(std::move(pin));
}
void Token::lock() {
    impl_->recovery->lock();
}
Done Token::change_pins(const PinChange& change) {
    return impl_->recovery->change_pins(change);
}
bool Token::locked() const {
    return impl_->recovery->locked();
}

bool Token::available() const {
    return impl_->recovery->connection().ok() && !hangs();
}
std::string Token::state() const {
    if (const auto connected = impl_->recovery->connection(); connected.ok() && hangs())
        return description() + ": doesn't answer: signatures have been under way for more than " +
               std::to_string(hanging.count()) + " s";
    return impl_->recovery->state();
}
bool Token::hangs() const {
    const std::lock_guard lock(impl_->inside_mutex);
    return !impl_->inside.empty() && SystemMonoClock().now() - *impl_->inside.begin() >= hanging;
}
std::uint64_t Token::recoveries() const {
    return impl_->recovery->recoveries();
}
std::string Token::description() const {
    return impl_->description;
}
const std::string& Token::name() const {
    return impl_->recovery->options().token;
}
unsigned Token::signing() const {
    return impl_->signing;
}

Result<Key> Token::find_key(std::string_view label_or_id, std::optional<KeyAlgorithm> wanted) {
    const std::string asked(label_or_id);
    const std::string tried = "finding key '" + asked + "'";
    if (asked.empty())
        return Error::usage(impl_->description + ": no key is named; give its label or its id in hex");
    auto use = impl_->use();
    if (!use) return std::move(use).error();
    std::optional<KeyAlgorithm> other;  // of a key of that name that isn't wanted
    const auto look = [&](CK_ATTRIBUTE_TYPE by, View value) -> Result<std::vector<CK_OBJECT_HANDLE>, CK_RV> {
        Template named;
        named.number(CKA_CLASS, CKO_PRIVATE_KEY).octets(by, value);
        const auto all = find_objects(use->call, use->session(), named);
        if (!all) return all;
        std::vector<CK_OBJECT_HANDLE> fitting;
        for (const CK_OBJECT_HANDLE object : *all) {
            const auto half = read_public_half(use->call, use->session(), object);
            if (!half) return half.error();
            if (!half->algorithm) continue;
            if (wanted && half->algorithm != wanted)
                other = half->algorithm;
            else
                fitting.push_back(object);
        }
        return fitting;
    };
    auto found = look(CKA_LABEL, as_view(asked));
    if (!found) return impl_->failed(use->connection, found.error(), tried);
    if (const auto id = from_hex(asked); found->empty() && id && !id->empty()) {
        found = look(CKA_ID, *id);
        if (!found) return impl_->failed(use->connection, found.error(), tried);
    }
    if (found->empty() && other) return impl_->wrong_key(asked, *other, *wanted);
    if (found->empty())
        return Error::no(impl_->description + ": has no " +
                         (wanted ? std::string(hsm::name(*wanted)) + " " : "") + "key '" + asked + "'");
    if (found->size() > 1)
        return Error::usage(impl_->description + ": has " + std::to_string(found->size()) + " keys '" +
                            asked + "'; name the one you mean by its id in hex");
    return impl_->key_of(*use, found->front(), tried);
}

Result<Key> Token::expect_key(const std::string& label, View spki) {
    const auto measure = measure_of(spki);
    if (!measure) return Error{measure.error()}.in("key '" + label + "'");
    auto content = std::make_shared<Key::Content>();
    content->label = label;
    content->algorithm = measure->algorithm;
    content->bits = measure->bits;
    content->spki = Bytes(spki.begin(), spki.end());
    content->name = handle_name(label, {});
    return impl_->keep(std::move(content));
}

Result<std::vector<KeyInfo>> Token::keys() {
    const std::string tried = "listing the keys";
    auto use = impl_->use();
    if (!use) return std::move(use).error();
    Template any;
    any.number(CKA_CLASS, CKO_PRIVATE_KEY);
    const auto found = find_objects(use->call, use->session(), any);
    if (!found) return impl_->failed(use->connection, found.error(), tried);
    std::vector<KeyInfo> keys;
    for (const CK_OBJECT_HANDLE object : *found) {
        AttributeReader reader(use->call, use->session(), object);
        KeyInfo key;
        key.label = reader.text(CKA_LABEL);
        key.id = reader.octets(CKA_ID);
        // What the token doesn't tell is shown as the worse.
        key.sensitive = reader.flag(CKA_SENSITIVE, false);
        key.extractable = reader.flag(CKA_EXTRACTABLE, true);
        key.local = reader.flag(CKA_LOCAL, false);
        key.signs = reader.flag(CKA_SIGN, false);
        const CK_KEY_TYPE type = reader.number(CKA_KEY_TYPE).value_or(CK_UNAVAILABLE_INFORMATION);
        if (reader.outcome() != CKR_OK) return impl_->failed(use->connection, reader.outcome(), tried);
        auto half = read_public_half(use->call, use->session(), object);
        if (!half) return impl_->failed(use->connection, half.error(), tried);
        if (half->algorithm) {
            key.type = hsm::name(*half->algorithm);
            key.spki = std::move(half->spki);
            if (const auto measure = measure_of(key.spki)) key.bits = measure->bits;
        } else if (type == CKK_EC) {
            key.type = "EC";
        } else if (type == CKK_EC_EDWARDS) {
            key.type = "EdDSA";
        } else {
            std::array<char, 24> text{};
            std::snprintf(text.data(), text.size(), "0x%lx", type);
            key.type = text.data();
        }
        keys.push_back(std::move(key));
    }
    return keys;
}

Result<Key> Token::Impl::generate(const Use& use, const std::string& label, const std::string& tried,
                                  CK_MECHANISM_TYPE with, const std::vector<Naming>& names) {
    if (label.empty() || label.size() > 255 || label.front() == ' ' || one_line(label, any_length) != label ||
        std::any_of(label.begin(), label.end(), [](unsigned char c) { return c < 0x20 || c == 0x7f; }))
        return Error::usage(
            description +
            ": a key needs a label of 1 to 255 octets, one line of UTF-8 without blanks at its ends");
    Template same;
    same.number(CKA_CLASS, CKO_PRIVATE_KEY).text(CKA_LABEL, label);
    const auto existing = find_objects(use.call, use.session(), same, 1);
    if (!existing) return failed(use.connection, existing.error(), tried);
    if (!existing->empty())
        return Error::usage(description + ": has a key '" + label + "' already; choose another label");

    auto session = use.connection->writing_session();
    if (!session)
        return failed(use.connection, session.error(), tried + " (opening a session that may write)");
    const Bytes id = random_octets(16);
    // KEY-1: made here, never leaves. CKA_ALWAYS_AUTHENTICATE stays out: it costs a factor 2.5 to 4.
    Template secret_half;
    secret_half.flag(CKA_TOKEN, true)
        .flag(CKA_PRIVATE, true)
        .flag(CKA_SENSITIVE, true)
        .flag(CKA_EXTRACTABLE, false);
    secret_half.flag(CKA_SIGN, true)
        .flag(CKA_SIGN_RECOVER, false)
        .flag(CKA_DECRYPT, false)
        .flag(CKA_UNWRAP, false);
    secret_half.text(CKA_LABEL, label).octets(CKA_ID, id);
    CK_MECHANISM mechanism{with, nullptr, 0};
    CK_OBJECT_HANDLE public_key = CK_INVALID_HANDLE;
    CK_OBJECT_HANDLE private_key = CK_INVALID_HANDLE;
    CK_RV rv = CKR_OK;
    for (const Naming& name_parameters : names) {
        Template open_half;
        open_half.flag(CKA_TOKEN, true)
            .flag(CKA_PRIVATE, false)
            .flag(CKA_VERIFY, true)
            .flag(CKA_ENCRYPT, false);
        open_half.flag(CKA_WRAP, false).text(CKA_LABEL, label).octets(CKA_ID, id);
        name_parameters(open_half);
        rv = use.call->C_GenerateKeyPair(session->handle(), &mechanism, open_half.data(), open_half.size(),
                                         secret_half.data(), secret_half.size(), &public_key, &private_key);
        if (rv == CKR_OK || is_loss(rv)) break;
    }
    if (rv != CKR_OK) return failed(use.connection, rv, tried);

    AttributeReader made(use.call, session->handle(), private_key);
    const bool as_asked = made.flag(CKA_TOKEN, false) && made.flag(CKA_PRIVATE, false) &&
                          made.flag(CKA_SENSITIVE, false) && !made.flag(CKA_EXTRACTABLE, true) &&
                          made.flag(CKA_ALWAYS_SENSITIVE, false) && made.flag(CKA_NEVER_EXTRACTABLE, false) &&
                          made.flag(CKA_SIGN, false) && !made.flag(CKA_ALWAYS_AUTHENTICATE, false);
    if (made.outcome() != CKR_OK) return failed(use.connection, made.outcome(), tried + " (reading it back)");
    const auto half = read_public_half(use.call, session->handle(), private_key);
    if (!half) return failed(use.connection, half.error(), tried + " (reading it back)");
    if (!as_asked || half->spki.empty()) {
        const CK_RV one = use.call->C_DestroyObject(session->handle(), private_key);
        const CK_RV two = use.call->C_DestroyObject(session->handle(), public_key);
        return Error::environment(
            description + ": " + tried + ": the token made a key " +
            (as_asked ? "whose public half it doesn't tell; "
                      : "that is not sensitive, non-extractable and for signing only; ") +
            (one == CKR_OK && two == CKR_OK ? "it was destroyed"
                                            : "destroy it by hand, the token refuses to") +
            ", and check the HSM's policy");
    }
    return key_of(use, private_key, tried);
}

Result<Key> Token::generate_rsa(const std::string& label, unsigned bits) {
    const std::string tried = "generating key '" + label + "'";
    if (bits != 2048 && bits != 3072 && bits != 4096)
        return Error::usage(impl_->description + ": " + tried +
                            ": RSA keys have 2048, 3072 or 4096 bits here, not " + std::to_string(bits));
    const auto use = impl_->use();
    if (!use) return use.error();
    return impl_->generate(*use, label, tried, CKM_RSA_PKCS_KEY_PAIR_GEN, {[bits](Template& open_half) {
        open_half.number(CKA_MODULUS_BITS, bits).octets(CKA_PUBLIC_EXPONENT, Bytes{0x01, 0x00, 0x01});
    }});
}

Result<Key> Token::generate_ed25519(const std::string& label) {
    const std::string tried = "generating key '" + label + "'";
    const auto use = impl_->use();
    if (!use) return use.error();
    for (const auto& [mechanism, way] :
         {std::pair{CKM_EC_EDWARDS_KEY_PAIR_GEN, CKF_GENERATE_KEY_PAIR}, std::pair{CKM_EDDSA, CKF_SIGN}}) {
        const auto offered = use->connection->offers(use->call, mechanism, way);
        if (!offered) return impl_->failed(use->connection, offered.error(), tried);
        if (!*offered)
            return Error::environment(
                impl_->description + ": " + tried +
                ": this HSM has no Ed25519 (CKM_EC_EDWARDS_KEY_PAIR_GEN, CKM_EDDSA); make the key in one "
                "that has it");
    }
    const auto called = [](const Bytes& curve) {
        return [curve](Template& open_half) { open_half.octets(CKA_EC_PARAMS, curve); };
    };
    return impl_->generate(*use, label, tried, CKM_EC_EDWARDS_KEY_PAIR_GEN,
                           {called(edwards25519_oid()), called(edwards25519_name())});
}

Done Token::destroy_key(const std::string& label, View spki_sha256) {
    const std::string tried = "destroying key '" + label + "'";
    if (spki_sha256.size() != pki::length(pki::Hash::sha256))
        return Error::usage(impl_->description + ": " + tried + ": nothing says which key that is");
    auto use = impl_->use();
    if (!use) return std::move(use).error();
    const auto failed = [&](CK_RV rv) { return impl_->failed(use->connection, rv, tried); };
    auto session = use->connection->writing_session();
    if (!session)
        return impl_->failed(use->connection, session.error(), tried + " (opening a session that may write)");
    bool nameless = false;  // a key whose public half the token doesn't tell: it may be the one
    /// Private keys with that public half, whatever they are called.
    const auto remaining =
        [&](const std::optional<std::string>& called) -> Result<std::vector<CK_OBJECT_HANDLE>, CK_RV> {
        Template any;
        any.number(CKA_CLASS, CKO_PRIVATE_KEY);
        if (called) any.text(CKA_LABEL, *called);
        const auto found = find_objects(use->call, session->handle(), any);
        if (!found) return found.error();
        std::vector<CK_OBJECT_HANDLE> same;
        for (const CK_OBJECT_HANDLE object : *found) {
            const auto half = read_public_half(use->call, session->handle(), object);
            if (!half) return half.error();
            if (!half->algorithm) continue;
            nameless |= half->spki.empty();
            if (equal(pki::digest(pki::Hash::sha256, half->spki), spki_sha256)) same.push_back(object);
        }
        return same;
    };
    const auto keys = remaining(label);
    if (!keys) return failed(keys.error());
    for (const CK_OBJECT_HANDLE key : *keys) {
        AttributeReader reader(use->call, session->handle(), key);
        const Bytes id = reader.octets(CKA_ID);
        if (reader.outcome() != CKR_OK) return failed(reader.outcome());
        // The private half first: what is left behind by a failure must not be able to sign.
        if (const CK_RV rv = use->call->C_DestroyObject(session->handle(), key); rv != CKR_OK)
            return failed(rv);
        for (const CK_ULONG kind : {CKO_PUBLIC_KEY, CKO_CERTIFICATE}) {
            Template beside;
            beside.number(CKA_CLASS, kind).octets(CKA_ID, id);
            const auto objects = find_objects(use->call, session->handle(), beside);
            if (!objects) return failed(objects.error());
            for (const CK_OBJECT_HANDLE object : *objects)
                if (const CK_RV rv = use->call->C_DestroyObject(session->handle(), object); rv != CKR_OK)
                    return failed(rv);
        }
    }
    // Whoever still holds this Key is told that it is gone, and not that the token is.
    {
        const std::lock_guard lock(impl_->mutex);
        std::erase_if(impl_->known, [&](const auto& content) {
            const bool same = equal(pki::digest(pki::Hash::sha256, content->spki), spki_sha256);
            if (same) use->connection->forget(content->name);
            return same;
        });
    }
    const auto left = remaining(std::nullopt);
    if (!left) return failed(left.error());
    if (nameless)
        return Error::environment(
            impl_->description + ": " + tried +
            ": the token has a private key whose public half it doesn't tell, so nobody can prove "
            "that this one is gone; look at it with the HSM's own tools");
    if (!left->empty())
        return Error::environment(
            impl_->description + ": " + tried + ": " + std::to_string(left->size()) +
            " private key with the same public half is still there, under another label; look with "
            "key list");
    return {};
}

Done Token::store_certificate(const std::string& label, View id, View der) {
    const std::string tried = "storing certificate '" + label + "'";
    auto certificate = pki::Certificate::from_der(der);
    if (!certificate) return std::move(certificate).error().in(impl_->description + ": " + tried);
    auto use = impl_->use();
    if (!use) return std::move(use).error();
    Template same;
    same.number(CKA_CLASS, CKO_CERTIFICATE).octets(CKA_ID, id).octets(CKA_VALUE, der);
    const auto existing = find_objects(use->call, use->session(), same, 1);
    if (!existing) return impl_->failed(use->connection, existing.error(), tried);
    if (!existing->empty()) return {};
    auto session = use->connection->writing_session();
    if (!session)
        return impl_->failed(use->connection, session.error(), tried + " (opening a session that may write)");
    Template object;
    object.number(CKA_CLASS, CKO_CERTIFICATE).number(CKA_CERTIFICATE_TYPE, CKC_X_509).flag(CKA_TOKEN, true);
    object.flag(CKA_PRIVATE, false).text(CKA_LABEL, label).octets(CKA_ID, id);
    object.octets(CKA_SUBJECT, certificate->subject_der()).octets(CKA_ISSUER, certificate->issuer_der());
    // PKCS#11 wants the serial number in DER, with tag and length.
    object.octets(CKA_SERIAL_NUMBER, der::tlv(der::integer_tag, certificate->serial()))
        .octets(CKA_VALUE, der);
    CK_OBJECT_HANDLE handle = CK_INVALID_HANDLE;
    const CK_RV rv = use->call->C_CreateObject(session->handle(), object.data(), object.size(), &handle);
    if (rv != CKR_OK) return impl_->failed(use->connection, rv, tried);
    return {};
}

Result<std::vector<CertificateObject>> Token::certificates() {
    const std::string tried = "listing the certificates";
    auto use = impl_->use();
    if (!use) return std::move(use).error();
    Template any;
    any.number(CKA_CLASS, CKO_CERTIFICATE).number(CKA_CERTIFICATE_TYPE, CKC_X_509);
    const auto found = find_objects(use->call, use->session(), any);
    if (!found) return impl_->failed(use->connection, found.error(), tried);
    std::vector<CertificateObject> certificates;
    for (const CK_OBJECT_HANDLE object : *found) {
        AttributeReader reader(use->call, use->session(), object);
        CertificateObject certificate{reader.text(CKA_LABEL), reader.octets(CKA_ID),
                                      reader.octets(CKA_VALUE)};
        if (reader.outcome() != CKR_OK) return impl_->failed(use->connection, reader.outcome(), tried);
        if (!certificate.der.empty()) certificates.push_back(std::move(certificate));
    }
    return certificates;
}

Result<Bytes> Token::sign(const Key& key, pki::Hash hash, View message) {
    const Key::Content& content = *key.content_;
    if (hash == pki::Hash::sha1)
        return Error::usage(impl_->description + ": nothing is signed over SHA-1; use SHA-256 or better");
    if (content.algorithm != KeyAlgorithm::rsa)
        return impl_->wrong_key(content.label, content.algorithm, KeyAlgorithm::rsa);
    const Counted counted(*impl_);
    const auto use = impl_->use();
    if (!use) return use.error();
    CK_MECHANISM_TYPE mechanism = CKM_SHA512_RSA_PKCS;
    Bytes digest_info;
    switch (use->connection->mode(hash)) {
        case SigningMode::combined:
            if (hash == pki::Hash::sha256) mechanism = CKM_SHA256_RSA_PKCS;
            if (hash == pki::Hash::sha384) mechanism = CKM_SHA384_RSA_PKCS;
            break;
        case SigningMode::raw:
            mechanism = CKM_RSA_PKCS;
            // RFC 8017 9.2: DigestInfo, NULL parameters
            digest_info = der::sequence(
                {der::algorithm(pki::oid(hash), true), der::octets(pki::digest(hash, message))});
            message = digest_info;
            break;
        case SigningMode::none:
            return Error::environment(impl_->description + ": signing with key '" + content.label +
                                      "': the token offers no RSA signature with " +
                                      std::string(pki::name(hash)) + "; choose another hash or another HSM");
    }
    return impl_->sign(*use, content, mechanism, message);
}

Result<Bytes> Token::sign_ed25519(const Key& key, View message) {
    const Key::Content& content = *key.content_;
    if (content.algorithm != KeyAlgorithm::ed25519)
        return impl_->wrong_key(content.label, content.algorithm, KeyAlgorithm::ed25519);
    const Counted counted(*impl_);
    const auto use = impl_->use();
    if (!use) return use.error();
    // Without parameters CKM_EDDSA is RFC 8032's pure Ed25519.
    auto signature = impl_->sign(*use, content, CKM_EDDSA, message);
    if (signature && signature->size() != ed25519_signature)
        return Error::environment(impl_->description + ": signing with key '" + content.label +
                                  "': the token's signature has " + std::to_string(signature->size()) +
                                  " octets and not 64; see the module's log");
    return signature;
}

Result<Bytes> Token::Impl::sign(const Use& use, const Key::Content& key, CK_MECHANISM_TYPE with,
                                View message) {
    const Inside entered(*this);
    const auto tried = [&key] { return "signing with key '" + key.label + "'"; };

    auto handle = use.connection->handle(key.name);
    if (!handle) {
        // Of another Token of the same token, or missing when the token came back.
        const auto found = resolve(use.call, use.session(), key);
        if (!found) return failed(use.connection, found.error(), tried());
        handle = *found;
        if (!handle)
            return Error::environment(description + ": " + tried() +
                                      ": the token has no such key any more; is it the right token?");
        use.connection->remember(key.name, *handle);
    }

    CK_MECHANISM mechanism{with, nullptr, 0};
    CK_RV rv = use.call->C_SignInit(use.session(), &mechanism, *handle);
    if (rv != CKR_OK) return failed(use.connection, rv, tried());
    Bytes signature(key.algorithm == KeyAlgorithm::ed25519 ? ed25519_signature : (key.bits + 7) / 8);
    CK_ULONG length = signature.size();
    // Modules refuse a null pointer even where there is nothing to read.
    static constexpr CK_BYTE nothing = 0;
    // PKCS#11 takes the message as non-const, and doesn't change it.
    auto* octets = const_cast<CK_BYTE*>(message.empty() ? &nothing : message.data());
    rv = use.call->C_Sign(use.session(), octets, message.size(), signature.data(), &length);
    if (rv != CKR_OK) return failed(use.connection, rv, tried());
    signature.resize(std::min<std::size_t>(length, signature.size()));
    use.connection->has_signed.store(true, std::memory_order_relaxed);
    return signature;
}

}  // namespace kokuin::hsm
