module edgechat.example/clients

go 1.18
