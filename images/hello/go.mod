module k8s101.invalid/hello

go 1.26
