# Makes an identity for each account that you name: a key and a certificate of the mesh's CA, in a Secret NAME-identity.
new='-newkey ec -pkeyopt ec_paramgen_curve:P-256 -noenc'
test -e ca.crt || openssl req -x509 $new -keyout ca.key -out ca.crt -subj '/CN=CA of the mesh' -days 30 2> /dev/null
for name in "$@"; do
  openssl req -new $new -keyout $name.key -out $name.csr -subj / -addext subjectAltName=URI:spiffe://mesh.test/$name 2> /dev/null
  openssl x509 -req -in $name.csr -CA ca.crt -CAkey ca.key -copy_extensions copy -days 1 -out $name.crt 2> /dev/null
  kubectl create secret generic $name-identity --from-file=tls.crt=$name.crt --from-file=tls.key=$name.key --from-file=ca.crt
done
