// SPDX-License-Identifier: Apache-2.0
// Certificates for tests, made on the spot: a CA and what it signs, as PEM files.
#pragma once

#include <cstdio>
#include <filesystem>
#include <memory>
#include <stdexcept>
#include <string>

#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

namespace wglan::test {

using Pkey = std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)>;
using Cert = std::unique_ptr<X509, decltype(&X509_free)>;

inline void must(bool good, const char* what) {
    if (!good) throw std::runtime_error(std::string("certificates.h: ") + what);
}

inline Pkey make_key() {
    Pkey key(EVP_EC_gen("P-256"), EVP_PKEY_free);
    must(key != nullptr, "key");
    return key;
}

inline void add_extension(X509* cert, X509* issuer, int nid, const std::string& value) {
    X509V3_CTX context;
    X509V3_set_ctx(&context, issuer, cert, nullptr, nullptr, 0);
    auto* extension = X509V3_EXT_conf_nid(nullptr, &context, nid, value.c_str());
    must(extension != nullptr && X509_add_ext(cert, extension, -1) == 1, "extension");
    X509_EXTENSION_free(extension);
}

// `san`: "DNS:localhost,IP:127.0.0.1"; "" = a CA. Valid from an hour ago for `seconds`.
inline Cert make_certificate(EVP_PKEY* key, const std::string& name, const std::string& san, X509* issuer,
                             EVP_PKEY* issuer_key, long seconds = 3600) {
    static long serial = 1;
    Cert cert(X509_new(), X509_free);
    must(cert != nullptr, "certificate");
    X509_set_version(cert.get(), 2);
    ASN1_INTEGER_set(X509_get_serialNumber(cert.get()), ++serial);
    X509_gmtime_adj(X509_getm_notBefore(cert.get()), -3600);
    X509_gmtime_adj(X509_getm_notAfter(cert.get()), seconds);
    X509_set_pubkey(cert.get(), key);
    auto* subject = X509_get_subject_name(cert.get());
    X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC,
                               reinterpret_cast<const unsigned char*>(name.c_str()), -1, -1, 0);
    X509* signer = issuer != nullptr ? issuer : cert.get();
    X509_set_issuer_name(cert.get(), X509_get_subject_name(signer));
    add_extension(cert.get(), signer, NID_basic_constraints,
                  san.empty() ? "critical,CA:TRUE" : "critical,CA:FALSE");
    if (!san.empty()) add_extension(cert.get(), signer, NID_subject_alt_name, san);
    must(X509_sign(cert.get(), issuer_key, EVP_sha256()) != 0, "sign");
    return cert;
}

inline void write_pem(const std::string& path, X509* cert, EVP_PKEY* key) {
    std::unique_ptr<FILE, int (*)(FILE*)> file(std::fopen(path.c_str(), "w"), std::fclose);
    must(file != nullptr, "open");
    must(cert == nullptr || PEM_write_X509(file.get(), cert) == 1, "write certificate");
    must(key == nullptr || PEM_write_PrivateKey(file.get(), key, nullptr, nullptr, 0, nullptr, nullptr) == 1,
         "write key");
}

// A directory that goes with this object.
class TempDir {
public:
    TempDir() {
        std::string name = (std::filesystem::temp_directory_path() / "wglan-test-XXXXXX").string();
        must(::mkdtemp(name.data()) != nullptr, "mkdtemp");
        path_ = name;
    }
    TempDir(const TempDir&) = delete;
    TempDir& operator=(const TempDir&) = delete;
    ~TempDir() {
        std::error_code ignored;
        std::filesystem::remove_all(path_, ignored);
    }
    std::string operator/(const std::string& name) const { return path_ + "/" + name; }

private:
    std::string path_;
};

// A CA of its own (ca_file) that issues server certificates.
class Authority {
public:
    explicit Authority(const TempDir& dir, const std::string& name = "ca")
        : ca_file(dir / (name + ".pem")),
          key_(make_key()),
          cert_(make_certificate(key_.get(), name, "", nullptr, key_.get())) {
        write_pem(ca_file, cert_.get(), nullptr);
    }
    void issue(const std::string& certificate_file, const std::string& key_file, const std::string& san,
               long seconds = 3600) const {
        auto key = make_key();
        auto cert = make_certificate(key.get(), "server", san, cert_.get(), key_.get(), seconds);
        write_pem(certificate_file, cert.get(), nullptr);
        write_pem(key_file, nullptr, key.get());
    }
    std::string ca_file;

private:
    Pkey key_;
    Cert cert_;
};

}  // namespace wglan::test
