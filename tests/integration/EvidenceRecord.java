// Judges evidence records with Bouncy Castle (RFC 4998).
//   EvidenceRecord ANCHORED-SIGNERS.pem (RECORD OBJECT yes|no)…
// Each record is said to prove its object, or not; exits with 1 at the first that is otherwise.
import java.io.FileInputStream;
import java.nio.file.Files;
import java.nio.file.Paths;
import java.security.cert.Certificate;
import java.security.cert.CertificateFactory;
import java.util.Date;
import org.bouncycastle.asn1.tsp.ArchiveTimeStamp;
import org.bouncycastle.asn1.tsp.ArchiveTimeStampChain;
import org.bouncycastle.cert.X509CertificateHolder;
import org.bouncycastle.cms.jcajce.JcaSimpleSignerInfoVerifierBuilder;
import org.bouncycastle.operator.DigestCalculatorProvider;
import org.bouncycastle.operator.jcajce.JcaDigestCalculatorProviderBuilder;
import org.bouncycastle.tsp.TimeStampToken;
import org.bouncycastle.tsp.ers.ERSByteData;
import org.bouncycastle.tsp.ers.ERSEvidenceRecord;

public class EvidenceRecord {
    static X509CertificateHolder signer;

    /// Each time-stamp is signed by the TSA that is known; then what Bouncy Castle looks at.
    static void judge(byte[] octets, byte[] object) throws Exception {
        DigestCalculatorProvider digests = new JcaDigestCalculatorProviderBuilder().build();
        ERSEvidenceRecord record = new ERSEvidenceRecord(octets, digests);
        Date newest = null;
        for (ArchiveTimeStampChain chain : record.toASN1Structure().getArchiveTimeStampSequence().getArchiveTimeStampChains())
            for (ArchiveTimeStamp stamp : chain.getArchiveTimestamps()) {
                TimeStampToken token = new TimeStampToken(stamp.getTimeStamp());
                token.validate(new JcaSimpleSignerInfoVerifierBuilder().build(signer));
                newest = token.getTimeStampInfo().getGenTime();
            }
        record.validatePresent(new ERSByteData(object), new Date(newest.getTime() + 1000));
        record.validate(new JcaSimpleSignerInfoVerifierBuilder().build(signer));
    }

    public static void main(String[] args) throws Exception {
        try (FileInputStream in = new FileInputStream(args[0])) {
            Certificate certificate = CertificateFactory.getInstance("X.509").generateCertificate(in);
            signer = new X509CertificateHolder(certificate.getEncoded());
        }
        for (int i = 1; i + 2 < args.length; i += 3) {
            String trouble = null;
            try {
                judge(Files.readAllBytes(Paths.get(args[i])), Files.readAllBytes(Paths.get(args[i + 1])));
            } catch (Exception e) {
                trouble = e.toString();
            }
            System.out.println(args[i] + " of " + args[i + 1] + ": " + (trouble == null ? "proved" : trouble));
            if ((trouble == null) != args[i + 2].equals("yes")) System.exit(1);
        }
    }
}
