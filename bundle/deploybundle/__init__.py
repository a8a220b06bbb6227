"""What a bundle is: made, signed, read and verified. No terminal, no exit, no Ansible."""
