module stepkube.test/pod

go 1.25
