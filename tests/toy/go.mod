module stepkube.test/toy

go 1.25
