// A client with Bouncy Castle: asks for a token, checks the response against the request and validates the token.
//   BouncyCastle URL TSU-CERTIFICATE.pem HASH(SHA-256…) CERTIFICATES(yes|no) [REQ-POLICY]
// The certificate is taken from the token when certificates are asked for, and must be the one of the file.
import java.io.FileInputStream;
import java.io.OutputStream;
import java.math.BigInteger;
import java.net.HttpURLConnection;
import java.net.URL;
import java.security.MessageDigest;
import java.security.SecureRandom;
import java.security.cert.CertificateFactory;
import java.security.cert.X509Certificate;
import java.util.Collection;
import org.bouncycastle.asn1.ASN1ObjectIdentifier;
import org.bouncycastle.asn1.cmp.PKIStatus;
import org.bouncycastle.cert.X509CertificateHolder;
import org.bouncycastle.cms.jcajce.JcaSimpleSignerInfoVerifierBuilder;
import org.bouncycastle.jce.provider.BouncyCastleProvider;
import org.bouncycastle.operator.DefaultDigestAlgorithmIdentifierFinder;
import org.bouncycastle.tsp.TimeStampRequest;
import org.bouncycastle.tsp.TimeStampRequestGenerator;
import org.bouncycastle.tsp.TimeStampResponse;
import org.bouncycastle.tsp.TimeStampToken;
import org.bouncycastle.util.Store;

public class BouncyCastle {
    static TimeStampResponse post(String url, TimeStampRequest request) throws Exception {
        HttpURLConnection connection = (HttpURLConnection) new URL(url).openConnection();
        connection.setDoOutput(true);
        connection.setRequestProperty("Content-Type", "application/timestamp-query");
        try (OutputStream out = connection.getOutputStream()) {
            out.write(request.getEncoded());
        }
        if (!"application/timestamp-reply".equals(connection.getContentType()))
            throw new Exception("media type " + connection.getContentType());
        return new TimeStampResponse(connection.getInputStream().readAllBytes());
    }

    public static void main(String[] args) throws Exception {
        X509CertificateHolder expected;
        try (FileInputStream in = new FileInputStream(args[0])) {
            X509Certificate certificate = (X509Certificate) CertificateFactory.getInstance("X.509").generateCertificate(in);
            expected = new X509CertificateHolder(certificate.getEncoded());
        }
        // The rest: quadruples of URL, hash, certificates and policy ("-": none). One start of Java for all of them.
        SecureRandom random = new SecureRandom();
        for (int i = 1; i + 3 < args.length; i += 4) {
            String url = args[i], hash = args[i + 1], policy = args[i + 3];
            boolean certificates = args[i + 2].equals("yes");
            byte[] document = new byte[100];
            random.nextBytes(document);
            TimeStampRequestGenerator generator = new TimeStampRequestGenerator();
            generator.setCertReq(certificates);
            if (!policy.equals("-")) generator.setReqPolicy(new ASN1ObjectIdentifier(policy));
            ASN1ObjectIdentifier oid = new DefaultDigestAlgorithmIdentifierFinder().find(hash).getAlgorithm();
            TimeStampRequest request = generator.generate(oid, MessageDigest.getInstance(hash).digest(document),
                                                          new BigInteger(64, random));
            TimeStampResponse response = post(url, request);
            response.validate(request);
            if (response.getStatus() != PKIStatus.GRANTED)
                throw new Exception(url + ": status " + response.getStatus() + " " + response.getStatusString());
            TimeStampToken token = response.getTimeStampToken();
            Store<X509CertificateHolder> store = token.getCertificates();
            Collection<X509CertificateHolder> found = store.getMatches(token.getSID());
            X509CertificateHolder signer = expected;
            if (certificates) {
                if (found.size() != 1) throw new Exception(url + ": " + found.size() + " certificates of the signer in the token");
                signer = found.iterator().next();
                if (!signer.equals(expected)) throw new Exception(url + ": not the TSU's certificate");
            } else if (!found.isEmpty()) {
                throw new Exception(url + ": certificates nobody asked for");
            }
            token.validate(new JcaSimpleSignerInfoVerifierBuilder().setProvider(new BouncyCastleProvider()).build(signer));
            System.out.println("valid " + url + " " + hash + " " + token.getTimeStampInfo().getPolicy() + " "
                               + token.getTimeStampInfo().getGenTime().toInstant()
                               + " attribute certificates: " + token.getAttributeCertificates().getMatches(null).size());
        }
    }
}
