module k8s101.invalid/operator

go 1.26
