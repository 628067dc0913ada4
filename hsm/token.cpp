#include "hsm/token.h"

#include <p11-kit/uri.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <condition_variable>
#include <cstring>
#include <map>
#include <mutex>
#include <optional>
#include <thread>

#include "base/der.h"
#include "base/time.h"
#include "hsm/objects.h"
#include "pki/public_key.h"

namespace kokuin::hsm {
namespace {

constexpr auto first_pause = milliseconds(100);
constexpr auto longest_pause = milliseconds(2000);

std::string field(const CK_UTF8CHAR* text, std::size_t size) {
    std::string out(reinterpret_cast<const char*>(text), size);
    out.erase(out.find_last_not_of(' ') + 1);
    return out;
}

/// A pkcs11: URI or a label, as a test of tokens.
class Wanted {
  public:
    static Result<Wanted> read(const std::string& text) {
        Wanted wanted;
        wanted.label_ = text;
        if (text.rfind("pkcs11:", 0) != 0) return wanted;
        wanted.uri_ = std::shared_ptr<P11KitUri>(p11_kit_uri_new(), p11_kit_uri_free);
        if (p11_kit_uri_parse(text.c_str(), P11_KIT_URI_FOR_TOKEN, wanted.uri_.get()) != P11_KIT_URI_OK)
            return Error::usage("'" + text +
                                "' is no pkcs11: URI of a token (RFC 7512); e.g. pkcs11:token=kokuin-tsu");
        return wanted;
    }
    [[nodiscard]] bool fits(const CK_TOKEN_INFO& info) const {
        if ((info.flags & CKF_TOKEN_INITIALIZED) == 0) return false;
        if (uri_) return p11_kit_uri_match_token_info(uri_.get(), &info) == 1;
        return field(info.label, sizeof info.label) == label_;
    }

  private:
    std::string label_;
    std::shared_ptr<P11KitUri> uri_;
};

Result<std::vector<CK_SLOT_ID>> slots(const Module& module) {
    std::vector<CK_SLOT_ID> found;
    CK_ULONG count = 0;
    CK_RV done = module.functions().C_GetSlotList(CK_TRUE, nullptr, &count);
    if (done == CKR_OK) {
        found.resize(count);
        done = module.functions().C_GetSlotList(CK_TRUE, found.data(), &count);
        found.resize(count);
    }
    if (done != CKR_OK) return Error::environment(module.path() + ": C_GetSlotList failed: " + words(done));
    return found;
}

Result<CK_SLOT_ID> find_slot(const Module& module, const std::string& name) {
    const auto wanted = Wanted::read(name);
    if (!wanted) return wanted.error();
    const auto all = slots(module);
    if (!all) return all.error();
    std::vector<CK_SLOT_ID> found;
    std::string there;
    for (const auto slot : *all) {
        CK_TOKEN_INFO info{};
        if (module.functions().C_GetTokenInfo(slot, &info) != CKR_OK) continue;
        if (wanted->fits(info)) found.push_back(slot);
        if ((info.flags & CKF_TOKEN_INITIALIZED) != 0)
            there += " '" + field(info.label, sizeof info.label) + "'";
    }
    if (found.size() > 1)
        return Error::usage("'" + name + "' fits " + std::to_string(found.size()) + " tokens of " +
                            module.path() + "; name one by a pkcs11: URI with its serial");
    if (found.empty())
        return Error::environment("no token '" + name + "' in " + module.path() +
                                  "; there are:" + (there.empty() ? " none" : there));
    return found.front();
}

bool is_pin_refusal(CK_RV value) {
    return value == CKR_PIN_INCORRECT || value == CKR_PIN_LOCKED || value == CKR_PIN_EXPIRED ||
           value == CKR_PIN_INVALID || value == CKR_PIN_LEN_RANGE || value == CKR_USER_PIN_NOT_INITIALIZED;
}

/// Failures that are this call's own and leave session and token as they were.
bool is_of_the_call(CK_RV value) {
    return value == CKR_KEY_FUNCTION_NOT_PERMITTED || value == CKR_KEY_TYPE_INCONSISTENT ||
           value == CKR_KEY_SIZE_RANGE || value == CKR_MECHANISM_INVALID ||
           value == CKR_MECHANISM_PARAM_INVALID || value == CKR_DATA_LEN_RANGE || value == CKR_DATA_INVALID ||
           value == CKR_ATTRIBUTE_VALUE_INVALID || value == CKR_TEMPLATE_INCONSISTENT ||
           value == CKR_TEMPLATE_INCOMPLETE || value == CKR_ATTRIBUTE_TYPE_INVALID ||
           value == CKR_ATTRIBUTE_READ_ONLY || value == CKR_TOKEN_WRITE_PROTECTED;
}

CK_MECHANISM_TYPE hashing_mechanism(pki::Hash hash) {
    switch (hash) {
        case pki::Hash::sha256:
            return CKM_SHA256_RSA_PKCS;
        case pki::Hash::sha384:
            return CKM_SHA384_RSA_PKCS;
        case pki::Hash::sha512:
            return CKM_SHA512_RSA_PKCS;
        case pki::Hash::sha1:
            break;
    }
    std::abort();  // nothing of ours is signed over SHA-1 (pki/hash.h)
}

/// DigestInfo (RFC 8017 9.2), for modules that don't hash themselves.
Bytes digest_info(pki::Hash hash, View message) {
    return der::sequence({der::algorithm(pki::oid(hash), true), der::octets(pki::digest(hash, message))});
}

Bytes spki_of(View modulus, View exponent) {
    const auto key = der::sequence({der::unsigned_integer(modulus), der::unsigned_integer(exponent)});
    return der::sequence({der::algorithm("1.2.840.113549.1.1.1", true), der::bits(key)});
}

unsigned bits_of(View modulus) {
    while (!modulus.empty() && modulus[0] == 0) modulus = modulus.subspan(1);
    if (modulus.empty()) return 0;
    unsigned bits = static_cast<unsigned>(modulus.size()) * 8;
    for (unsigned top = 0x80; top != 0 && (modulus[0] & top) == 0; top >>= 1U) --bits;
    return bits;
}

std::vector<Attribute> private_key(const std::string& label) {
    return {Attribute::number(CKA_CLASS, CKO_PRIVATE_KEY), Attribute::octets(CKA_LABEL, as_view(label))};
}

}  // namespace

class Token::Impl {
  public:
    Impl(std::shared_ptr<Module> module, TokenOptions options)
        : module_(std::move(module)), options_(std::move(options)) {}

    ~Impl() {
        {
            const std::lock_guard lock(mutex_);
            stopping_ = true;
        }
        changed_.notify_all();
        if (keeper_.joinable()) keeper_.join();
        const std::lock_guard lock(mutex_);
        const auto use = module_->use();
        idle_.clear();
        set_up(false);
    }

    Done open() {
        if (auto done = connect(); !done) return done;
        keeper_ = std::thread([this] { keep(); });
        return {};
    }

    Result<Bytes> sign(const std::string& label, pki::Hash hash, View message) {
        auto lent = borrow();
        if (!lent) return std::move(lent).error();
        auto key = find_key(*lent, label);
        if (!key) return std::move(key).error();
        auto& pkcs11 = module_->functions();
        CK_MECHANISM mechanism{whole_mechanism_ ? hashing_mechanism(hash) : CKM_RSA_PKCS, nullptr, 0};
        Bytes info;
        if (!whole_mechanism_) {
            info = digest_info(hash, message);
            message = info;
        }
        CK_RV done = pkcs11.C_SignInit(lent->handle(), &mechanism, *key);
        if (done != CKR_OK) return trouble(*lent, done, "C_SignInit");
        Bytes signature(1024);
        CK_ULONG size = signature.size();
        done = pkcs11.C_Sign(lent->handle(), const_cast<CK_BYTE*>(message.data()), message.size(),
                             signature.data(), &size);
        if (done != CKR_OK) return trouble(*lent, done, "C_Sign");
        signature.resize(size);
        return signature;
    }

    Result<std::vector<KeyInfo>> keys() {
        auto lent = borrow();
        if (!lent) return std::move(lent).error();
        const auto handles = find_objects(lent->session(), {Attribute::number(CKA_CLASS, CKO_PRIVATE_KEY)});
        if (!handles) return trouble(*lent, handles.error(), "C_FindObjects");
        std::vector<KeyInfo> all;
        for (const auto handle : *handles) {
            auto info = describe(*lent, handle);
            if (!info) return std::move(info).error();
            all.push_back(std::move(*info));
        }
        std::sort(all.begin(), all.end(),
                  [](const KeyInfo& a, const KeyInfo& b) { return a.label < b.label; });
        return all;
    }

    Result<KeyInfo> key(const std::string& label) {
        auto lent = borrow();
        if (!lent) return std::move(lent).error();
        const auto handle = find_key(*lent, label);
        if (!handle) return handle.error();
        return describe(*lent, *handle);
    }

    Result<KeyInfo> generate(const std::string& label, unsigned bits) {
        {
            auto lent = borrow();
            if (!lent) return std::move(lent).error();
            if (find_key(*lent, label))
                return Error::usage(where() + ": there is a key '" + label +
                                    "' already; choose another label");
            auto writing = Session::open(module_, slot_, true);
            if (!writing) return std::move(writing).error().in(where());
            const auto id = random_octets(20);
            std::vector<Attribute> open_part{Attribute::flag(CKA_TOKEN, true),
                                             Attribute::flag(CKA_VERIFY, true),
                                             Attribute::number(CKA_MODULUS_BITS, bits),
                                             Attribute::octets(CKA_PUBLIC_EXPONENT, Bytes{0x01, 0x00, 0x01}),
                                             Attribute::octets(CKA_LABEL, as_view(label)),
                                             Attribute::octets(CKA_ID, id)};
            // KEY-1: never leaves the token. KEY-2: signs, and does nothing else.
            std::vector<Attribute> closed_part{
                Attribute::flag(CKA_TOKEN, true),     Attribute::flag(CKA_PRIVATE, true),
                Attribute::flag(CKA_SENSITIVE, true), Attribute::flag(CKA_EXTRACTABLE, false),
                Attribute::flag(CKA_SIGN, true),      Attribute::flag(CKA_DECRYPT, false),
                Attribute::flag(CKA_UNWRAP, false),   Attribute::octets(CKA_LABEL, as_view(label)),
                Attribute::octets(CKA_ID, id)};
            auto public_template = as_template(open_part);
            auto private_template = as_template(closed_part);
            CK_MECHANISM mechanism{CKM_RSA_PKCS_KEY_PAIR_GEN, nullptr, 0};
            CK_OBJECT_HANDLE public_handle = 0;
            CK_OBJECT_HANDLE private_handle = 0;
            const CK_RV done = module_->functions().C_GenerateKeyPair(
                writing->handle(), &mechanism, public_template.data(), public_template.size(),
                private_template.data(), private_template.size(), &public_handle, &private_handle);
            if (done != CKR_OK) return trouble(*lent, done, "C_GenerateKeyPair");
        }
        return key(label);
    }

    Done store_certificate(const std::string& label, const pki::Certificate& certificate) {
        auto info = key(label);
        if (!info) return std::move(info).error();
        if (info->public_key != certificate.spki())
            return Error::usage("the certificate of " + certificate.subject_text() + " isn't for the key '" +
                                label + "'; have one issued for its CSR");
        if (std::find(info->certificates.begin(), info->certificates.end(), certificate) !=
            info->certificates.end())
            return {};
        auto lent = borrow();
        if (!lent) return std::move(lent).error();
        auto writing = Session::open(module_, slot_, true);
        if (!writing) return std::move(writing).error().in(where());
        std::vector<Attribute> attributes{
            Attribute::number(CKA_CLASS, CKO_CERTIFICATE),
            Attribute::number(CKA_CERTIFICATE_TYPE, CKC_X_509),
            Attribute::flag(CKA_TOKEN, true),
            Attribute::flag(CKA_PRIVATE, false),
            Attribute::octets(CKA_LABEL, as_view(label)),
            Attribute::octets(CKA_ID, info->id),
            Attribute::octets(CKA_SUBJECT, certificate.subject_der()),
            Attribute::octets(CKA_ISSUER, certificate.issuer_der()),
            Attribute::octets(CKA_SERIAL_NUMBER, der::integer_octets(certificate.serial())),
            Attribute::octets(CKA_VALUE, certificate.der())};
        auto made = as_template(attributes);
        CK_OBJECT_HANDLE handle = 0;
        const CK_RV done =
            module_->functions().C_CreateObject(writing->handle(), made.data(), made.size(), &handle);
        if (done != CKR_OK) return trouble(*lent, done, "C_CreateObject");
        return {};
    }

    bool available() const {
        const std::lock_guard lock(mutex_);
        return up_;
    }

    std::string state_text() const {
        const std::lock_guard lock(mutex_);
        return up_ ? where() + " is there" : trouble_;
    }

  private:
    /// A session on loan. Gives it back; not copyable, or two threads would use one session.
    class Lent {
      public:
        Lent(Impl& owner, Session session, std::uint64_t epoch)
            : owner_(&owner), use_(owner.module_->use()), session_(std::move(session)), epoch_(epoch) {}
        ~Lent() {
            if (!owner_) return;
            if (use_.owns_lock()) use_.unlock();
            owner_->give_back(std::move(session_), epoch_);
        }
        Lent(Lent&& other) noexcept
            : owner_(std::exchange(other.owner_, nullptr)),
              use_(std::move(other.use_)),
              session_(std::move(other.session_)),
              epoch_(other.epoch_) {}
        Lent(const Lent&) = delete;
        Lent& operator=(const Lent&) = delete;
        Lent& operator=(Lent&&) = delete;
        [[nodiscard]] const Session& session() const { return session_; }
        [[nodiscard]] CK_SESSION_HANDLE handle() const { return session_.handle(); }
        [[nodiscard]] std::uint64_t epoch() const { return epoch_; }

      private:
        Impl* owner_;
        std::shared_lock<std::shared_mutex> use_;
        Session session_;
        std::uint64_t epoch_;
    };

    [[nodiscard]] std::string where() const { return "token '" + options_.token + "'"; }

    void set_up(bool up) {  // under mutex_
        if (up != up_) module_->working() += up ? 1 : -1;
        up_ = up;
    }

    Result<Lent> borrow() {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [this] { return !up_ || !idle_.empty(); });
        if (!up_) return Error::environment(trouble_);
        Session session = std::move(idle_.back());
        idle_.pop_back();
        ++lent_;
        const auto epoch = epoch_;
        lock.unlock();
        return Lent(*this, std::move(session), epoch);
    }

    void give_back(Session session, std::uint64_t epoch) {
        {
            const std::lock_guard lock(mutex_);
            --lent_;
            if (up_ && epoch == epoch_) idle_.push_back(std::move(session));
        }
        changed_.notify_all();
    }

    /// Turns a CK_RV into words, and the token's loss into the keeper's work.
    Error trouble(const Lent& lent, CK_RV value, const char* doing) {
        auto text = where() + ": " + doing + " failed: " + words(value);
        if (is_of_the_call(value)) return Error::environment(std::move(text));
        const std::lock_guard lock(mutex_);
        if (up_ && lent.epoch() == epoch_) {
            set_up(false);
            trouble_ = text + "; trying to get it back";
            spdlog::error("hsm: {}", trouble_);
            changed_.notify_all();
        }
        return Error::environment(std::move(text));
    }

    Result<CK_OBJECT_HANDLE> find_key(const Lent& lent, const std::string& label) {
        {
            const std::lock_guard lock(mutex_);
            if (const auto found = handles_.find(label); found != handles_.end() && lent.epoch() == epoch_)
                return found->second;
        }
        const auto found = find_objects(lent.session(), private_key(label));
        if (!found) return trouble(lent, found.error(), "C_FindObjects");
        if (found->empty()) return Error::no(where() + " has no key '" + label + "'");
        if (found->size() > 1)
            return Error::usage(where() + " has " + std::to_string(found->size()) + " keys '" + label +
                                "'; labels must be unique");
        const std::lock_guard lock(mutex_);
        if (lent.epoch() == epoch_) handles_[label] = found->front();
        return found->front();
    }

    Result<KeyInfo> describe(const Lent& lent, CK_OBJECT_HANDLE handle) {
        const auto& session = lent.session();
        const auto label = read_attribute(session, handle, CKA_LABEL);
        if (!label) return trouble(lent, label.error(), "C_GetAttributeValue");
        auto id = read_attribute(session, handle, CKA_ID);
        const auto modulus = read_attribute(session, handle, CKA_MODULUS);
        const auto exponent = read_attribute(session, handle, CKA_PUBLIC_EXPONENT);
        const auto sensitive = read_attribute(session, handle, CKA_SENSITIVE);
        const auto extractable = read_attribute(session, handle, CKA_EXTRACTABLE);
        KeyInfo info;
        info.label = as_text(*label);
        if (id) info.id = std::move(*id);
        if (modulus && exponent) {
            info.bits = bits_of(*modulus);
            info.public_key = spki_of(*modulus, *exponent);
        }
        info.sensitive = sensitive && *sensitive == Bytes{CK_TRUE};
        info.extractable = !extractable || *extractable != Bytes{CK_FALSE};
        const auto certificates = find_objects(
            session, {Attribute::number(CKA_CLASS, CKO_CERTIFICATE), Attribute::octets(CKA_ID, info.id)});
        if (!certificates) return trouble(lent, certificates.error(), "C_FindObjects");
        for (const auto object : *certificates) {
            const auto value = read_attribute(session, object, CKA_VALUE);
            if (!value) continue;
            if (auto certificate = pki::Certificate::from_der(*value))
                info.certificates.push_back(std::move(*certificate));
        }
        return info;
    }

    /// Finds the token, logs in, opens the sessions. No session of this token is in use.
    Done connect() {
        if (module_->generation() == 0)
            if (auto done = module_->initialise(0); !done) return done;
        const auto use = module_->use();
        idle_.clear();
        const auto slot = find_slot(*module_, options_.token);
        if (!slot) return slot.error();
        std::vector<Session> sessions;
        for (unsigned i = 0; i < options_.sessions; ++i) {
            auto session = Session::open(module_, *slot, false);
            if (!session) return std::move(session).error().in(where());
            sessions.push_back(std::move(*session));
        }
        if (pin_refused_) return Error::usage(pin_refusal_);
        // One login serves all sessions (PKCS#11 5.6), and is kept: logging in for each signature costs most
        // of the speed.
        const auto pin = options_.pin.view();
        const CK_RV done = module_->functions().C_Login(sessions.front().handle(), CKU_USER,
                                                        const_cast<CK_UTF8CHAR*>(pin.data()), pin.size());
        if (is_pin_refusal(done)) {
            // Once is enough: the token counts wrong PINs and locks itself.
            pin_refused_ = true;
            pin_refusal_ =
                where() + ": the PIN was refused (" + words(done) +
                "); it is not tried again, so that the token doesn't lock: correct pin_file and start again";
            return Error::usage(pin_refusal_);
        }
        if (done != CKR_OK && done != CKR_USER_ALREADY_LOGGED_IN)
            return Error::environment(where() + ": C_Login failed: " + words(done));
        CK_MECHANISM_INFO info{};
        whole_mechanism_ =
            module_->functions().C_GetMechanismInfo(*slot, CKM_SHA512_RSA_PKCS, &info) == CKR_OK &&
            (info.flags & CKF_SIGN) != 0;
        const std::lock_guard lock(mutex_);
        slot_ = *slot;
        generation_ = module_->generation();
        ++epoch_;
        handles_.clear();
        idle_ = std::move(sessions);
        set_up(true);
        trouble_.clear();
        return {};
    }

    /// The keeper's thread: gets the token back whenever it is lost.
    void keep() {
        std::unique_lock lock(mutex_);
        nanoseconds pause = first_pause;
        while (true) {
            changed_.wait(lock, [this] { return stopping_ || (!up_ && lent_ == 0); });
            if (stopping_) return;
            lock.unlock();
            // Sessions alone may be lost; only if that doesn't help the module is initialised anew.
            auto done = connect();
            if (!done && !pin_refused_) {
                if (auto renewed = module_->initialise(generation_); renewed)
                    done = connect();
                else
                    done = std::move(renewed);
            }
            lock.lock();
            if (done) {
                spdlog::info("hsm: {} is back", where());
                pause = first_pause;
                changed_.notify_all();
                continue;
            }
            trouble_ = done.error().text;
            if (pin_refused_) {
                spdlog::error("hsm: {}", trouble_);
                changed_.wait(lock, [this] { return stopping_; });
                return;
            }
            changed_.wait_for(lock, pause, [this] { return stopping_; });
            pause = std::min<nanoseconds>(pause * 2, longest_pause);
        }
    }

    std::shared_ptr<Module> module_;
    TokenOptions options_;

    mutable std::mutex mutex_;
    std::condition_variable changed_;
    bool up_ = false;
    bool stopping_ = false;
    std::string trouble_;
    std::vector<Session> idle_;
    unsigned lent_ = 0;
    std::uint64_t epoch_ = 0;  // counts connections: handles of another one are void
    std::map<std::string, CK_OBJECT_HANDLE> handles_;

    // Written by connect() alone, while no session is lent.
    CK_SLOT_ID slot_ = 0;
    bool whole_mechanism_ = true;
    std::uint64_t generation_ = 0;
    bool pin_refused_ = false;
    std::string pin_refusal_;
    std::thread keeper_;
};

Token::Token(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Token::~Token() = default;

Result<std::unique_ptr<Token>> Token::open(std::shared_ptr<Module> module, TokenOptions options) {
    auto impl = std::make_unique<Impl>(std::move(module), std::move(options));
    if (auto done = impl->open(); !done) return std::move(done).error();
    return std::unique_ptr<Token>(new Token(std::move(impl)));
}

Result<Bytes> Token::sign(const std::string& label, pki::Hash hash, View message) {
    return impl_->sign(label, hash, message);
}
Result<std::vector<KeyInfo>> Token::keys() const {
    return impl_->keys();
}
Result<KeyInfo> Token::key(const std::string& label) const {
    return impl_->key(label);
}
Result<KeyInfo> Token::generate_rsa(const std::string& label, unsigned bits) {
    return impl_->generate(label, bits);
}
Done Token::store_certificate(const std::string& label, const pki::Certificate& certificate) {
    return impl_->store_certificate(label, certificate);
}
bool Token::available() const {
    return impl_->available();
}
std::string Token::state_text() const {
    return impl_->state_text();
}

Done initialise_token(const std::shared_ptr<Module>& module, const std::string& label, const Secret& so_pin,
                      const Secret& pin) {
    if (label.rfind("pkcs11:", 0) == 0 || label.size() > 32)
        return Error::usage("'" + label + "': a new token needs a label of at most 32 octets, no URI");
    if (module->generation() == 0)
        if (auto done = module->initialise(0); !done) return done;
    const auto use = module->use();
    if (find_slot(*module, label)) return Error::usage("there is a token '" + label + "' already");
    const auto all = slots(*module);
    if (!all) return all.error();
    auto& pkcs11 = module->functions();
    for (const auto slot : *all) {
        CK_TOKEN_INFO info{};
        if (pkcs11.C_GetTokenInfo(slot, &info) != CKR_OK || (info.flags & CKF_TOKEN_INITIALIZED) != 0)
            continue;
        Bytes padded(32, ' ');
        std::copy(label.begin(), label.end(), padded.begin());
        const auto so = so_pin.view();
        CK_RV done = pkcs11.C_InitToken(slot, const_cast<CK_UTF8CHAR*>(so.data()), so.size(), padded.data());
        if (done != CKR_OK)
            return Error::environment(module->path() + ": C_InitToken failed: " + words(done));
        auto session = Session::open(module, slot, true);
        if (!session) return std::move(session).error();
        done = pkcs11.C_Login(session->handle(), CKU_SO, const_cast<CK_UTF8CHAR*>(so.data()), so.size());
        if (done != CKR_OK)
            return Error::environment(module->path() + ": C_Login (SO) failed: " + words(done));
        const auto user = pin.view();
        done = pkcs11.C_InitPIN(session->handle(), const_cast<CK_UTF8CHAR*>(user.data()), user.size());
        pkcs11.C_Logout(session->handle());
        if (done != CKR_OK) return Error::environment(module->path() + ": C_InitPIN failed: " + words(done));
        return {};
    }
    return Error::environment(module->path() + ": no free slot for a new token");
}

}  // namespace kokuin::hsm
