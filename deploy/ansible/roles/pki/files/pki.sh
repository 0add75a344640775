#!/bin/sh
# The fleet's certificate authority, in the folder PKI_DIR of the controller: a folder of openssl's own `ca` command.
#
#   pki.sh authority                              the authority's certificate, and what it has revoked
#   pki.sh certificate FILE CN USAGE SANS < CSR   the same, and a certificate; of the request only the public key counts
#
# Prints the authority's certificate, the revocation list and the certificate with a line `--` between them, and on
# standard error `made` where any of them is new. Hosts are set up in parallel: one lock covers all that this file does.
set -eu
umask 077

say() { echo "$*" >&2; }
stop() { say "$*"; exit 1; }
[ -n "${PKI_DIR:-}" ] || stop "PKI_DIR is not set"
command -v openssl >/dev/null || stop "pki: no openssl on the controller: sudo apt-get install -y openssl"
[ "$PKI_RENEW_DAYS" -lt "$PKI_DAYS" ] || stop "pki_renew_days: $PKI_RENEW_DAYS is not less than pki_days ($PKI_DAYS): lower it"

mkdir -p "$PKI_DIR"
cd "$PKI_DIR"
exec 9> lock
flock 9

# A gateway's clock may be late by the time that it was switched off.
yesterday() { date -u -d '-1 day' +%Y%m%d%H%M%SZ; }
in_days() { date -u -d "+$1 days" +%Y%m%d%H%M%SZ; }

quiet() {
  "$@" > log 2>&1 || { cat log >&2; stop "pki: the command above failed: $1 $2"; }
}

ca() { quiet openssl ca -config ca.cnf -batch -notext "$@"; }

make_authority() {
  mkdir -p issued newcerts
  : > index.txt
  cat > ca.cnf <<END
[ca]
default_ca = fleet
[fleet]
dir = .
database = index.txt
new_certs_dir = newcerts
certificate = ca.crt
private_key = ca.key
rand_serial = yes
unique_subject = no
default_md = sha256
default_crl_days = $PKI_AUTHORITY_DAYS
policy = name
[name]
commonName = supplied
[req]
distinguished_name = req_name
prompt = no
[req_name]
CN = $PKI_TITLE
[authority]
basicConstraints = critical, CA:TRUE, pathlen:0
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
END
  quiet openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out ca.key
  quiet openssl req -new -config ca.cnf -key ca.key -out ca.csr
  ca -selfsign -in ca.csr -extensions authority -startdate "$(yesterday)" -enddate "$(in_days "$PKI_AUTHORITY_DAYS")" -out ca.tmp
  mv ca.tmp ca.crt
  say made
}

valid_serials() { awk -F '\t' -v "cn=/CN=$1" '$1 == "V" && $6 == cn { print $4 }' index.txt; }
is_valid() { awk -F '\t' -v "serial=$1" '$1 == "V" && $4 == serial { found = 1 } END { exit !found }' index.txt; }

revoke() {
  for name in $PKI_REVOKED_NAMES; do
    for serial in $(valid_serials "$name"); do ca -revoke "newcerts/$serial.pem"; done
  done
  for serial in $PKI_REVOKED_SERIALS; do
    serial=$(printf %s "$serial" | tr a-f A-F)
    [ -e "newcerts/$serial.pem" ] || stop "pki_revoked: no certificate has the serial $serial: see $PKI_DIR/index.txt"
    ! is_valid "$serial" || ca -revoke "newcerts/$serial.pem"
  done
  awk -F '\t' '$1 == "R"' index.txt > revoked.tmp
  if [ ! -e crl.pem ] || ! cmp -s revoked.tmp revoked.txt; then
    ca -gencrl -out crl.tmp
    mv crl.tmp crl.pem
    mv revoked.tmp revoked.txt
    say made
  fi
}

# Whether the certificate that was issued before is still the one that is wanted.
still_good() {
  old=issued/$file
  [ -e "$old.crt" ] && [ -e "$old.txt" ] || return 1
  [ "$(cat "$old.txt")" = "$wanted" ] || return 1
  openssl verify -CAfile ca.crt "$old.crt" > log 2>&1 || return 1
  openssl x509 -in "$old.crt" -noout -checkend $((PKI_RENEW_DAYS * 86400)) > log || return 1
  is_valid "$(openssl x509 -in "$old.crt" -noout -serial | cut -d= -f2)" || return 1
  [ "$(openssl x509 -in "$old.crt" -noout -pubkey)" = "$(openssl req -in "$request" -noout -pubkey)" ]
}

certificate() {
  file=$1 cn=$2 usage=$3 sans=$4
  wanted="cn=$cn usage=$usage sans=$sans"
  request=issued/$file.csr
  cat > "$request"
  openssl req -in "$request" -noout -verify > log 2>&1 || stop "pki: the request of $file is damaged: remove its key on the host and run again"
  if ! still_good; then
    {
      echo "basicConstraints = critical, CA:FALSE"
      echo "keyUsage = critical, digitalSignature"
      echo "extendedKeyUsage = ${usage}Auth"
      echo "subjectKeyIdentifier = hash"
      echo "authorityKeyIdentifier = keyid:always"
      [ -z "$sans" ] || echo "subjectAltName = $sans"
    } > extensions
    ca -in "$request" -subj "/CN=$cn" -extfile extensions -startdate "$(yesterday)" -enddate "$(in_days "$PKI_DAYS")" -out cert.tmp
    mv cert.tmp "issued/$file.crt"
    echo "$wanted" > "issued/$file.txt"
    say made
  fi
}

[ -e ca.crt ] || make_authority
revoke
[ "$1" = authority ] || certificate "$2" "$3" "$4" "$5"
cat ca.crt
echo --
cat crl.pem
[ "$1" = authority ] || { echo --; cat "issued/$2.crt"; }
