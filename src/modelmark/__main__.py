from modelmark.cli import main

main()
